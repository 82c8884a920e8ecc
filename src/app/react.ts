/** `trollfix/react`: the hooks over `trollfix/app`. React 18 or newer. */
export { type BroadcastChatHook, useBroadcastChat } from './use-broadcast-chat.ts';
export { type StreamSeats, useStreamSeats } from './use-stream-seats.ts';
