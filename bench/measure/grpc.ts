// The gRPC service that native/proxy/examples/upstream.rs answers for, and its one message: for the load, and for the check
// of answers.

/** The text of every message: with its Protocol Buffers head, 32 bytes. */
export const TEXT = 'x'.repeat(30);

/** The service, as ghz reads it. */
export const PROTO = `syntax = "proto3";
package bench;
message Text { string text = 1; }
service Echo {
  rpc Unary(Text) returns (Text);
  rpc Both(stream Text) returns (stream Text);
}
`;

/** Paths of the service's methods. */
export const METHODS = { unary: '/bench.Echo/Unary', both: '/bench.Echo/Both' } as const;

/** The header lines of a call. */
export const CALL_HEADERS: readonly string[] = ['content-type: application/grpc', 'te: trailers'];

/** The message as it goes over the wire: a flag, its length in four bytes, then field 1 as a string. */
export function messageFrame(): Buffer {
  const message = Buffer.concat([Buffer.from([0x0a, TEXT.length]), Buffer.from(TEXT)]);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
