/**
 * The body of a broadcast chat message: what the app sends (text, name, avatar), with an id in front that is known
 * before the write. `{"id":"<tag>-<room>-<number>"` has fixed widths, so receivers of the mass read the number at
 * its place instead of parsing JSON.
 */
const tagLength = 8;
const roomDigits = 4;
const numberDigits = 10;
const idStart = '{"id":"'.length;
const numberStart = idStart + tagLength + 1 + roomDigits + 1;
const zero = 48;

/** @param tag 8 characters that no other run uses */
export function chatId(tag: string, room: number, message: number): string {
  return `${tag}-${String(room).padStart(roomDigits, '0')}-${String(message).padStart(numberDigits, '0')}`;
}

export interface ChatPayload {
  readonly id: string;
  readonly body: string;
  readonly user_name: string;
  readonly user_avatar: string;
}

export function chatPayload(tag: string, room: number, message: number, userName: string): ChatPayload {
  return {
    id: chatId(tag, room, message),
    body: `message ${message}: what a play, did you all see that? again please`,
    user_name: userName,
    user_avatar: `https://cdn.example.invalid/avatars/${userName}.webp`,
  };
}

/** The number of a message in its room, or −1 when the body is not one of this run and room. */
export function messageOfBody(body: Buffer, tag: string, room: number): number {
  if (body.length < numberStart + numberDigits) return -1;
  const prefix = body.toString('latin1', idStart, numberStart);
  if (prefix !== `${tag}-${String(room).padStart(roomDigits, '0')}-`) return -1;
  let message = 0;
  for (let at = numberStart; at < numberStart + numberDigits; at++) {
    const digit = body[at]! - zero;
    if (digit < 0 || digit > 9) return -1;
    message = message * 10 + digit;
  }
  return message;
}

/** The same from an id, as the official client hands it over. */
export function messageOfId(id: unknown, tag: string, room: number): number {
  const prefix = `${tag}-${String(room).padStart(roomDigits, '0')}-`;
  if (typeof id !== 'string' || !id.startsWith(prefix)) return -1;
  const digits = id.slice(prefix.length);
  return /^\d{10}$/.test(digits) ? Number(digits) : -1;
}
