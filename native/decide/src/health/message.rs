//! The two messages of `grpc.health.v1.Health/Check`, by hand: one string one way, one number the other.
//!
//! In: a service's name, or a received message. Out: bytes of protobuf, or the status. Source: the protobuf encoding
//! guide, and the gRPC health checking protocol.

/// The longest answer that is looked at: it needs two bytes, and may have fields that we do not know.
pub const MESSAGE_BYTES: usize = 1024;

/// `string service = 1`: the field's number and its wire type, LEN.
const SERVICE: u8 = 0x0a;

/// Appends `HealthCheckRequest`; an empty name, which asks about the whole server, is not written.
pub fn write_request_message(out: &mut Vec<u8>, service: &str) {
    if service.is_empty() {
        return;
    }
    out.push(SERVICE);
    let mut length = service.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or_default());
    out.extend_from_slice(service.as_bytes());
}

/// `ServingStatus status = 1` of a `HealthCheckResponse`: 1 is SERVING; 0, where it is not there. None: this is no message.
/// Fields that we do not know are skipped; of a field that comes twice the last one counts.
#[must_use]
pub fn serving_status(message: &[u8]) -> Option<u64> {
    let mut status = 0;
    let mut rest = message;
    while !rest.is_empty() {
        let (tag, behind) = varint(rest)?;
        let (field, wire_type) = (tag >> 3, tag & 7);
        if !(1..=0x1fff_ffff).contains(&field) {
            return None;
        }
        rest = match wire_type {
            0 => {
                let (value, behind) = varint(behind)?;
                if field == 1 {
                    status = value;
                }
                behind
            }
            1 => behind.get(8..)?,
            2 => {
                let (length, behind) = varint(behind)?;
                behind.get(usize::try_from(length).ok()?..)?
            }
            5 => behind.get(4..)?,
            _ => return None,
        };
    }
    Some(status)
}

/// Seven bits a byte, the lowest first; at most ten bytes.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if index == 9 && bits > 1 {
            return None;
        }
        value |= bits << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}
