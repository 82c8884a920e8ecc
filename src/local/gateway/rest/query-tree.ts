/** What a query string says, before anything of it is looked up in the database. */

export interface JsonStep {
  readonly arrow: '->' | '->>';
  readonly key: string;
  /** A bare number is an array index. */
  readonly isIndex: boolean;
}

/** A column, or a path into a JSON column. */
export interface FieldRef {
  readonly name: string;
  readonly path: readonly JsonStep[];
}

export type SelectItem =
  | { readonly kind: 'all' }
  | {
      readonly kind: 'field';
      readonly field: FieldRef;
      readonly alias: string | undefined;
      readonly cast: string | undefined;
    }
  | EmbedItem;

export interface EmbedItem {
  readonly kind: 'embed';
  /** Name of a table, a foreign key or a foreign-key column. */
  readonly target: string;
  readonly alias: string | undefined;
  /** Which foreign key, where there are several. */
  readonly hint: string | undefined;
  readonly inner: boolean;
  readonly spread: boolean;
  readonly select: readonly SelectItem[];
}

export interface Filter {
  readonly field: FieldRef;
  readonly negated: boolean;
  readonly op: string;
  readonly quantifier: 'any' | 'all' | undefined;
  /** Text-search configuration of `fts(english)`. */
  readonly language: string | undefined;
  /** A list for `in`. */
  readonly value: string | readonly string[];
}

export type Condition =
  | { readonly kind: 'filter'; readonly filter: Filter }
  | {
      readonly kind: 'and' | 'or';
      readonly negated: boolean;
      readonly children: readonly Condition[];
    };

export interface OrderTerm {
  readonly field: FieldRef;
  readonly direction: 'asc' | 'desc' | undefined;
  readonly nulls: 'nullsfirst' | 'nullslast' | undefined;
}

/** What applies to one resource: the requested one or an embedded one. */
export interface NodeClauses {
  readonly where: Condition[];
  order: readonly OrderTerm[];
  limit: number | undefined;
  offset: number;
}

export interface QueryTree {
  readonly select: readonly SelectItem[];
  /** The clauses of the requested resource: `nodes` has them too. */
  readonly root: NodeClauses;
  /** Clauses by the path of the resource: '' is the requested one, `author.books` an embed of an embed. */
  readonly nodes: ReadonlyMap<string, NodeClauses>;
  readonly columns: readonly string[] | undefined;
  readonly onConflict: readonly string[] | undefined;
  /** Pairs that are no filter: the arguments of an RPC by GET. */
  readonly args: ReadonlyArray<readonly [string, string]>;
}
