import type { Catalogue, ForeignKey, Table } from './catalogue.ts';
import type { EmbedItem } from './query-tree.ts';
import { RestError } from './rest-error.ts';

/** How the rows of an embedded table belong to a row of the table that embeds it. */
export interface Relationship {
  readonly table: Table;
  /** One object (or null) instead of a list. */
  readonly toOne: boolean;
  /** Pairs of columns that must be equal: of the embedding and of the embedded table. */
  readonly pairs: ReadonlyArray<readonly [outer: string, inner: string]>;
  /** The foreign key, for messages about ambiguity. */
  readonly via: string;
}

/**
 * Finds the one foreign key an embed means, in either direction.
 * Many-to-many through a junction table is not offered: embed the junction and its other side.
 * @throws RestError PGRST200 for none, PGRST201 for several
 */
export function resolveRelationship(catalogue: Catalogue, parent: Table, embed: EmbedItem): Relationship {
  const candidates = catalogue.foreignKeys.flatMap((key) => relationshipsOf(catalogue, parent, embed, key));
  const [only, second] = candidates;
  if (only && !second) return only;
  const between = `'${parent.name}' and '${embed.target}'`;
  if (!only) {
    throw new RestError(
      400,
      'PGRST200',
      `Could not find a relationship between ${between} in the schema cache`,
      {
        details: `Searched for a foreign key relationship between ${between}${
          embed.hint === undefined ? '' : ` using the hint '${embed.hint}'`
        } in the schema '${parent.schema}', but no matches were found.`,
      },
    );
  }
  throw new RestError(
    300,
    'PGRST201',
    `Could not embed because more than one relationship was found for ${between}`,
    {
      details: candidates.map(({ via }) => via).join(', '),
      hint: `Try changing '${embed.target}' to one of the following: ${candidates
        .map(({ via }) => `'${embed.target}!${via}'`)
        .join(', ')}. Find the desired relationship in the 'details' key.`,
    },
  );
}

function relationshipsOf(
  catalogue: Catalogue,
  parent: Table,
  { target, hint }: EmbedItem,
  key: ForeignKey,
): Relationship[] {
  const found: Relationship[] = [];
  const hintFits =
    hint === undefined || hint === key.name || (key.columns.length === 1 && key.columns[0] === hint);
  if (!hintFits) return found;
  const referenced = catalogue.tablesByOid.get(key.referencedOid);
  const referencing = catalogue.tablesByOid.get(key.tableOid);
  const namesKey = target === key.name || (key.columns.length === 1 && target === key.columns[0]);
  if (key.tableOid === parent.oid && referenced && (referenced.name === target || namesKey)) {
    const pairs = key.columns.map((column, i) => [column, key.referencedColumns[i] ?? ''] as const);
    found.push({ table: referenced, toOne: true, pairs, via: key.name });
  }
  // of a table that references itself, the bare name means its children only with a hint; the key's column is the parent
  const isSelf = key.tableOid === key.referencedOid;
  const namesChildren = referencing?.name === target && !(isSelf && found.length > 0 && hint !== undefined);
  if (
    key.referencedOid === parent.oid &&
    referencing &&
    (namesChildren || (target === key.name && !isSelf))
  ) {
    const pairs = key.columns.map((column, i) => [key.referencedColumns[i] ?? '', column] as const);
    found.push({ table: referencing, toOne: key.isUnique, pairs, via: key.name });
  }
  return found;
}
