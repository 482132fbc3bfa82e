// Reads one HTTP/1.1 answer after the other from the bytes of a connection, whoever made it: the endpoint, or a proxy that
// refuses. In: chunks; out: status, and whether the connection can carry another request.

/** An answer as a whole. */
export interface Answer {
  readonly status: number;
  /** Whether the connection stays open. */
  readonly isReusable: boolean;
}

const HEAD_END = '\r\n\r\n';
const LAST_CHUNK = '0\r\n\r\n';
/** A longer head is no answer. */
const LONGEST_HEAD = 16_384;

/** Reads answers to GET, one at a time. */
export class AnswerReader {
  #head = '';
  #answer: Answer | undefined;
  /** Bytes of the body that are missing; negative: it ends with its last chunk, or with the connection. */
  #rest = 0;
  #isChunked = false;
  #tail = '';

  /** Takes bytes; the answer once it is complete. Throws when it is none. */
  take(chunk: Buffer): Answer | undefined {
    if (this.#answer !== undefined) return this.#body(chunk);
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf(HEAD_END);
    if (end < 0) {
      if (this.#head.length > LONGEST_HEAD) throw new Error('an endless head');
      return undefined;
    }
    const rest = Buffer.from(this.#head.slice(end + HEAD_END.length), 'latin1');
    this.#begin(this.#head.slice(0, end));
    this.#head = '';
    return this.#body(rest);
  }

  /** The answer that the end of the connection completes, if there is one. */
  end(): Answer | undefined {
    return this.#answer !== undefined && this.#rest < 0 && !this.#isChunked ? this.#finish() : undefined;
  }

  #begin(head: string): void {
    const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1]);
    if (!Number.isInteger(status)) throw new Error(`not an answer: ${head.slice(0, 40)}`);
    const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
    this.#isChunked = /\r\ntransfer-encoding: *chunked/i.test(head);
    this.#rest = length === undefined ? -1 : Number(length);
    const isReusable = (length !== undefined || this.#isChunked) && !/\r\nconnection: *close/i.test(head);
    this.#answer = { status, isReusable };
  }

  #body(chunk: Buffer): Answer | undefined {
    if (this.#isChunked) {
      this.#tail = (this.#tail + chunk.toString('latin1')).slice(-LAST_CHUNK.length);
      return this.#tail === LAST_CHUNK ? this.#finish() : undefined;
    }
    if (this.#rest < 0) return undefined;
    this.#rest -= chunk.length;
    if (this.#rest < 0) throw new Error('more bytes than the answer announced');
    return this.#rest === 0 ? this.#finish() : undefined;
  }

  #finish(): Answer | undefined {
    const answer = this.#answer;
    this.#answer = undefined;
    this.#tail = '';
    this.#isChunked = false;
    return answer;
  }
}
