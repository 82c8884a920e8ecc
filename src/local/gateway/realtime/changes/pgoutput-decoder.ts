/** A published table as the stream describes it. */
export interface StreamRelation {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** pg_class.relreplident: default (primary key), nothing, full, or an index. */
  readonly replicaIdentity: 'd' | 'n' | 'f' | 'i';
  readonly columns: readonly { readonly name: string; readonly isKey: boolean }[];
}

/** Column values in PostgreSQL's text form by column name; a column left out is an unchanged TOAST value. */
export type Tuple = ReadonlyMap<string, string | null>;

export type ChangeAction = 'INSERT' | 'UPDATE' | 'DELETE';

/** One row of a committed transaction. The tuples are read only when somebody wants them. */
export class StreamedChange {
  readonly action: ChangeAction;
  readonly relation: StreamRelation;
  /** Of the transaction that wrote it: 32 bits, without the epoch. */
  readonly xid: number;
  readonly commitMs: number;
  readonly #body: Buffer;
  #tuples: { old: Tuple | null; new: Tuple | null } | undefined;

  constructor(
    action: ChangeAction,
    relation: StreamRelation,
    transaction: { xid: number; commitMs: number },
    body: Buffer,
  ) {
    this.action = action;
    this.relation = relation;
    this.xid = transaction.xid;
    this.commitMs = transaction.commitMs;
    this.#body = body;
  }

  /** About how much the row weighs, in bytes. */
  get bytes(): number {
    return this.#body.length;
  }

  /** The row as it is now; null for DELETE. */
  get new(): Tuple | null {
    return this.#read().new;
  }

  /**
   * The replica identity of the row as it was: all columns if FULL, else the key. An UPDATE that leaves the
   * key alone sends no old row: the key is taken from the new one, as wal2json does.
   */
  get old(): Tuple | null {
    return this.#read().old;
  }

  #read() {
    this.#tuples ??= readTuples(this.action, this.relation, this.#body);
    return this.#tuples;
  }
}

/**
 * Reads pgoutput messages (protocol version 1). Values stay text, unlike in pg-logical-replication's own
 * parser, whose Date and number lose microseconds and large integers.
 * https://www.postgresql.org/docs/17/protocol-logicalrep-message-formats.html
 */
export class PgoutputDecoder {
  readonly #relations = new Map<number, StreamRelation>();
  #transaction = { xid: 0, commitMs: 0 };

  /** A change, or null for a message that is only taken note of. */
  decode(message: Buffer): StreamedChange | null {
    switch (message[0]) {
      case 0x42: // Begin: final LSN, commit time in µs since 2000-01-01, xid
        this.#transaction = {
          commitMs: postgresTimeMs(message.readBigInt64BE(9)),
          xid: message.readUInt32BE(17),
        };
        return null;
      case 0x52: // Relation
        this.#readRelation(message);
        return null;
      case 0x49:
        return this.#change('INSERT', message);
      case 0x55:
        return this.#change('UPDATE', message);
      case 0x44:
        return this.#change('DELETE', message);
      default: // Commit, Origin, Type, Truncate, Message: nothing that is delivered
        return null;
    }
  }

  #change(action: ChangeAction, message: Buffer): StreamedChange | null {
    const relation = this.#relations.get(message.readUInt32BE(1));
    if (!relation) return null; // cannot be: the server describes a relation before its first change
    return new StreamedChange(action, relation, this.#transaction, message.subarray(5));
  }

  #readRelation(message: Buffer): void {
    const reader = new Reader(message, 1);
    const oid = reader.uint32();
    const schema = reader.cString() || 'pg_catalog';
    const name = reader.cString();
    // one of the four letters of pg_class.relreplident
    const replicaIdentity = String.fromCharCode(reader.uint8()) as StreamRelation['replicaIdentity'];
    const columns = Array.from({ length: reader.uint16() }, () => {
      const isKey = (reader.uint8() & 1) === 1;
      const column = { name: reader.cString(), isKey };
      reader.skip(8); // type oid and typmod: the catalogue is asked instead
      return column;
    });
    this.#relations.set(oid, { oid, schema, name, replicaIdentity, columns });
  }
}

function postgresTimeMs(microseconds: bigint): number {
  return Number(microseconds / 1000n) + 946_684_800_000; // 2000-01-01T00:00:00Z
}

function readTuples(action: ChangeAction, relation: StreamRelation, body: Buffer) {
  const reader = new Reader(body, 0);
  let old: Tuple | null = null;
  let marker = reader.uint8();
  if (marker === 0x4b || marker === 0x4f) {
    // K: only the key columns mean anything, the others are sent as null; O: the whole old row
    old = readTuple(reader, relation, marker === 0x4b);
    if (action === 'DELETE') return { old, new: null };
    marker = reader.uint8();
  }
  const fresh = readTuple(reader, relation, false);
  if (action === 'UPDATE') old ??= keyOf(fresh, relation);
  return { old, new: fresh };
}

function readTuple(reader: Reader, relation: StreamRelation, keyOnly: boolean): Tuple {
  const tuple = new Map<string, string | null>();
  const count = reader.uint16();
  for (let i = 0; i < count; i++) {
    const column = relation.columns[i];
    const kind = reader.uint8();
    const value = kind === 0x74 ? reader.text(reader.uint32()) : null;
    // 'u': unchanged TOAST, not sent
    if (column && kind !== 0x75 && (!keyOnly || column.isKey)) tuple.set(column.name, value);
  }
  return tuple;
}

function keyOf(tuple: Tuple, relation: StreamRelation): Tuple {
  const key = new Map<string, string | null>();
  for (const { name, isKey } of relation.columns) {
    const value = tuple.get(name);
    if (isKey && value !== undefined) key.set(name, value);
  }
  return key;
}

class Reader {
  readonly #buffer: Buffer;
  #offset: number;

  constructor(buffer: Buffer, offset: number) {
    this.#buffer = buffer;
    this.#offset = offset;
  }

  uint8(): number {
    return this.#buffer.readUInt8(this.#advance(1));
  }

  uint16(): number {
    return this.#buffer.readUInt16BE(this.#advance(2));
  }

  uint32(): number {
    return this.#buffer.readUInt32BE(this.#advance(4));
  }

  text(bytes: number): string {
    const start = this.#advance(bytes);
    return this.#buffer.toString('utf8', start, start + bytes);
  }

  cString(): string {
    const end = this.#buffer.indexOf(0, this.#offset);
    const text = this.#buffer.toString('utf8', this.#offset, end);
    this.#offset = end + 1;
    return text;
  }

  skip(bytes: number): void {
    this.#advance(bytes);
  }

  #advance(bytes: number): number {
    const start = this.#offset;
    this.#offset += bytes;
    return start;
  }
}
