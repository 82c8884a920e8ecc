import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  decodeBroadcastPush,
  decodeText,
  encodeBroadcastDelivery,
  encodeText,
} from '../../../src/target/supabase/realtime-frames.ts';

/** What to do with message `message` (its number in the room) for the receiver that joined as number `receiver`. */
export type RelayFault = (message: number, receiver: number) => 'deliver' | 'drop' | 'duplicate' | 'hold';

interface Joined {
  readonly socket: WebSocket;
  readonly joinRef: string | null;
  readonly receiver: number;
  held: Buffer | undefined;
}

export interface FaultyRelay {
  readonly url: string;
  /** Deliveries the relay dropped, sent twice, or sent behind a later one. */
  readonly planted: { dropped: number; duplicated: number; held: number };
  stop(): Promise<void>;
}

/** In place of a reason to refuse: the message vanishes, with no answer and no delivery. */
export const swallowed = 'swallowed';

/**
 * A Realtime server of broadcasts only that breaks deliveries as told: it speaks serializer 2.0.0 well enough for
 * supabase-js and raw sockets, and knows exactly what it has broken.
 * @param refuse gives a reason to answer a push with an error instead of delivering it
 * @param closeAt ends one receiver's channel just before that message, with or without a reason
 */
export async function startFaultyRelay(
  fault: RelayFault,
  refuse: (message: number) => string | undefined = () => undefined,
  closeAt: { message: number; receiver: number; reason: string } | undefined = undefined,
): Promise<FaultyRelay> {
  const rooms = new Map<string, Joined[]>();
  const planted = { dropped: 0, duplicated: 0, held: 0 };
  const server = createServer((_request, response) => response.writeHead(404).end());
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      const frame = data as Buffer; // safe: ws's default binaryType
      if (isBinary) push(socket, frame);
      else control(socket, frame.toString());
    });
  });

  function control(socket: WebSocket, text: string): void {
    const frame = decodeText(text);
    if (!frame) return;
    const { topic, event, ref, joinRef } = frame;
    if (event === 'phx_join') {
      const room = rooms.get(topic) ?? [];
      rooms.set(topic, room);
      room.push({ socket, joinRef, receiver: room.length, held: undefined });
    }
    const response = event === 'phx_join' ? { postgres_changes: [] } : {};
    if (ref !== null) reply(socket, joinRef, ref, topic, { status: 'ok', response });
  }

  function push(socket: WebSocket, data: Buffer): void {
    const frame = decodeBroadcastPush(data);
    if (!frame) return;
    const message = Number(/^\{"id":"[0-9a-f]+-\d+-(\d+)"/.exec(frame.body.toString())?.[1]);
    const reason = refuse(message);
    if (reason === swallowed) return;
    const payload = reason ? { status: 'error', response: { reason } } : { status: 'ok', response: {} };
    reply(socket, frame.joinRef, frame.ref, frame.topic, payload);
    if (reason) return;
    const delivery = encodeBroadcastDelivery(frame.topic, frame.event, Buffer.from(frame.body));
    if (closeAt?.message === message) closeChannel(frame.topic, closeAt);
    for (const member of rooms.get(frame.topic) ?? []) {
      if (member.socket !== socket) deliver(member, delivery, fault(message, member.receiver));
    }
  }

  function closeChannel(topic: string, { receiver, reason }: { receiver: number; reason: string }): void {
    const members = rooms.get(topic) ?? [];
    const member = members.find((joined) => joined.receiver === receiver);
    if (!member) return;
    rooms.set(
      topic,
      members.filter((joined) => joined !== member),
    );
    const { socket, joinRef } = member;
    if (reason !== '') {
      const payload = { extension: 'system', status: 'error', message: reason };
      socket.send(encodeText({ joinRef, ref: null, topic, event: 'system', payload }));
    }
    socket.send(encodeText({ joinRef, ref: joinRef, topic, event: 'phx_close', payload: {} }));
  }

  function deliver(member: Joined, delivery: Buffer, what: ReturnType<RelayFault>): void {
    if (what === 'drop') planted.dropped++;
    else if (what === 'hold') member.held = delivery;
    else {
      member.socket.send(delivery);
      if (what === 'duplicate') {
        planted.duplicated++;
        member.socket.send(delivery);
      }
      if (member.held) {
        planted.held++;
        member.socket.send(member.held);
        member.held = undefined;
      }
    }
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  // safe: a listening TCP server has an address with a port
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    planted,
    async stop() {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

function reply(
  socket: WebSocket,
  joinRef: string | null,
  ref: string,
  topic: string,
  payload: Record<string, unknown>,
): void {
  socket.send(encodeText({ joinRef, ref, topic, event: 'phx_reply', payload }));
}
