const textOpcode = 0x81; // FIN + text
const binaryOpcode = 0x82; // FIN + binary

/**
 * A whole server-to-client WebSocket frame (RFC 6455 §5.2: FIN set, no mask, no extension), ready to be
 * written to any number of sockets. Building it once per message instead of once per receiver is what makes
 * fan-out cheap; it is valid because the gateway never negotiates permessage-deflate.
 */
export function frameOf(payload: string | Buffer): Buffer {
  const opcode = typeof payload === 'string' ? textOpcode : binaryOpcode;
  const length = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length;
  const headerBytes = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(headerBytes + length);
  frame[0] = opcode;
  if (headerBytes === 2) {
    frame[1] = length;
  } else if (headerBytes === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2);
    frame.writeUInt32BE(length % 0x1_0000_0000, 6);
  }
  if (typeof payload === 'string') frame.write(payload, headerBytes);
  else payload.copy(frame, headerBytes);
  return frame;
}
