import type { SupabaseClient } from '@supabase/supabase-js';
import { useCallback, useEffect, useRef, useState } from 'react';
import {
  type BroadcastChat,
  type ChatSendResult,
  type ChatView,
  createBroadcastChat,
  initialChatView,
} from './broadcast-chat.ts';

export interface BroadcastChatHookOptions {
  readonly supabase: SupabaseClient;
  /** null: no chat (yet). */
  readonly streamId: string | null;
  /** The signed-in user; null for a guest, who reads only. */
  readonly userId: string | null;
}

export interface BroadcastChatHook extends ChatView {
  /** Sends, or says why not. The same function as long as stream and user are the same. */
  readonly send: (body: string) => Promise<ChatSendResult>;
  /** When the next message may be sent, in milliseconds; counts down to 0 by itself. */
  readonly retryInMs: number;
}

interface Held {
  readonly chat: BroadcastChat;
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string | null;
  readonly view: ChatView;
}

/** Often enough for a number with one decimal. */
const countdownMs = 100;

const notConnected: ChatSendResult = {
  sent: false,
  refusal: { code: 'unreachable', message: 'the chat is not connected yet' },
};

/** The chat of a stream, with a send box's needs: {@link createBroadcastChat} for React. */
export function useBroadcastChat(options: BroadcastChatHookOptions): BroadcastChatHook {
  const { supabase, streamId, userId } = options;
  const [held, setHeld] = useState<Held | null>(null);
  const [retryInMs, setRetryInMs] = useState(0);
  const current = useRef<BroadcastChat | null>(null);
  useEffect(() => {
    if (streamId === null) return;
    const show = (view: ChatView) => setHeld({ chat, supabase, streamId, userId, view });
    const chat = createBroadcastChat({ supabase, streamId, userId, onChange: show });
    current.current = chat;
    return () => {
      chat.stop();
      current.current = null;
      setHeld(null);
      setRetryInMs(0);
    };
  }, [supabase, streamId, userId]);

  const isWaiting = retryInMs > 0;
  useEffect(() => {
    if (!isWaiting) return;
    const timer = setInterval(() => setRetryInMs(current.current?.retryInMs() ?? 0), countdownMs);
    return () => clearInterval(timer);
  }, [isWaiting]);

  const send = useCallback(async (body: string): Promise<ChatSendResult> => {
    const chat = current.current;
    if (chat === null) return notConnected;
    const sending = chat.send(body);
    // the turn is taken, or was not there, before the server has answered
    setRetryInMs(chat.retryInMs());
    const result = await sending;
    if (current.current === chat) setRetryInMs(chat.retryInMs());
    return result;
  }, []);

  const isOurs = held?.supabase === supabase && held.streamId === streamId && held.userId === userId;
  return { ...(isOurs ? held.view : initialChatView), send, retryInMs };
}
