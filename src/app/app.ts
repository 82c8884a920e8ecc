/** `trollfix/app`: the browser side without a framework. Works in a bundler and in Node, without a window. */
export {
  type BroadcastChat,
  type BroadcastChatOptions,
  type ChatRefusal,
  type ChatSendResult,
  type ChatView,
  createBroadcastChat,
} from './broadcast-chat.ts';
export type { ChatMessage } from './chat-log.ts';
export type { ChatRefusalCode } from './chat-rows.ts';
export { type ChatThrottle, createChatThrottle } from './chat-throttle.ts';
export type { SeatEjection, StreamSeat } from './seat-state.ts';
export { type SeatView, type SeatWatch, type SeatWatchOptions, watchStreamSeat } from './seat-watcher.ts';
