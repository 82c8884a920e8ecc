import type { SupabaseClient } from '@supabase/supabase-js';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import type { ChatMessage } from '../chat-log.ts';
import { bodyCharsMax } from '../chat-rows.ts';
import { type BroadcastChatHook, useBroadcastChat } from '../use-broadcast-chat.ts';

/** The room's talk and the box to join in. */
export function ChatPanel(props: {
  readonly supabase: SupabaseClient;
  readonly streamId: string;
  readonly userId: string | null;
  /** Whether it is known yet who is signed in: until then there is nobody to connect as. */
  readonly isKnown: boolean;
}) {
  const { supabase, streamId, userId, isKnown } = props;
  const chat = useBroadcastChat({ supabase, streamId: isKnown ? streamId : null, userId });
  return (
    <section className="card chat" aria-labelledby="chat-title">
      <div className="card-head">
        <h2 id="chat-title">Chat</h2>
        <span className={`connection ${chat.connection}`}>{chat.connection}</span>
      </div>
      <Messages messages={chat.messages} userId={userId} />
      {userId === null ? <p className="quiet">Sign in to join the talk.</p> : <SendBox chat={chat} />}
    </section>
  );
}

function Messages(props: { readonly messages: readonly ChatMessage[]; readonly userId: string | null }) {
  const box = useRef<HTMLDivElement>(null);
  const { messages, userId } = props;
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new message is the reason to look
  useEffect(() => {
    const { current } = box;
    // whoever has scrolled back to read is left there
    if (current === null || current.scrollHeight - current.scrollTop - current.clientHeight > 120) return;
    current.scrollTop = current.scrollHeight;
  }, [messages]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and keys must be able to do that too
    <div className="messages" ref={box} role="log" aria-label="Messages" tabIndex={0}>
      {messages.length === 0 && <p className="quiet">Nobody has said anything yet.</p>}
      <ul>
        {messages.map((message) => (
          <li key={message.id} className={message.state}>
            <b>{message.userId === userId ? 'You' : message.name}</b> <span>{message.body}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function SendBox(props: { readonly chat: BroadcastChatHook }) {
  const { chat } = props;
  const [body, setBody] = useState('');
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const result = await chat.send(body);
    // what could not be sent stays in the box, and so does what was typed meanwhile
    if (result.sent) setBody((current) => (current === body ? '' : current));
  };
  return (
    <form className="send" onSubmit={(event) => void submit(event)}>
      <label htmlFor="message" className="hidden">
        Your message
      </label>
      <input
        id="message"
        value={body}
        maxLength={bodyCharsMax}
        autoComplete="off"
        placeholder="Say something nice"
        onChange={(event) => setBody(event.currentTarget.value)}
      />
      <button className="primary" type="submit" aria-disabled={chat.retryInMs > 0}>
        Send
      </button>
      <p className="send-status" role="status">
        {chat.refusal !== null && chat.refusal.code !== 'too_fast' && chat.refusal.message}
        {chat.refusal?.code === 'too_fast' && chat.retryInMs > 0 && 'Slow down: one message a second.'}
      </p>
      <p className="send-wait quiet">
        {chat.retryInMs > 0 && `again in ${(Math.ceil(chat.retryInMs / 100) / 10).toFixed(1)} s`}
      </p>
    </form>
  );
}
