import type { Catalogue, Table } from './catalogue.ts';
import { conditionSql, fieldSql, orderSql, type Source } from './condition-sql.ts';
import { emptyClauses } from './query-string.ts';
import type { EmbedItem, NodeClauses, QueryTree, SelectItem } from './query-tree.ts';
import { type Relationship, resolveRelationship } from './relationships.ts';
import { RestError } from './rest-error.ts';
import { type Params, quoteName, quoteTable } from './sql-text.ts';

/** Rows a read gives at most (`db-max-rows` of hosted projects). */
export const maxRows = 1000;

/** A source with the table its rows are of, if any: embeds start from there. */
export interface ReadSource extends Source {
  readonly from: string;
  readonly table: Table | undefined;
}

/** The parts of a SELECT. */
export interface ReadParts {
  readonly columns: string;
  /** FROM with its joins, and WHERE: what a count counts. */
  readonly fromWhere: string;
  readonly order: string;
  readonly limit: string;
}

export function tableSource(table: Table): ReadSource {
  const quoted = quoteTable(table);
  return { name: table.name, qualifier: quoted, columns: table.columns, from: quoted, table };
}

/**
 * The SELECT a query tree asks for, from `source`.
 * @param filtered false where the conditions were applied already (the rows of a write)
 * @throws RestError 42703, 42704, PGRST108, PGRST200, PGRST201
 */
export function readParts(
  catalogue: Catalogue,
  tree: QueryTree,
  source: ReadSource,
  params: Params,
  filtered = true,
): ReadParts {
  const reader = new Reader(catalogue, tree.nodes, params);
  const { root } = tree;
  const parts = reader.level(tree.select, source, '', filtered ? root : { ...root, where: [] });
  reader.refuseUnusedNodes();
  const limit = filtered ? limitSql(root, params) : '';
  return { ...parts, limit };
}

function limitSql(node: NodeClauses, params: Params): string {
  const rows = Math.min(node.limit ?? maxRows, maxRows);
  // as parameters, so that pages share one prepared statement
  const offset = node.offset > 0 ? ` OFFSET ${params.add(String(node.offset))}::bigint` : '';
  return ` LIMIT ${params.add(String(rows))}::bigint${offset}`;
}

interface Level {
  readonly columns: string;
  readonly fromWhere: string;
  readonly order: string;
}

class Reader {
  readonly #catalogue: Catalogue;
  readonly #nodes: ReadonlyMap<string, NodeClauses>;
  readonly #params: Params;
  readonly #usedPaths = new Set<string>(['']);
  #serial = 0;

  constructor(catalogue: Catalogue, nodes: ReadonlyMap<string, NodeClauses>, params: Params) {
    this.#catalogue = catalogue;
    this.#nodes = nodes;
    this.#params = params;
  }

  level(
    items: readonly SelectItem[],
    source: ReadSource,
    path: string,
    clauses: NodeClauses,
    on: string[] = [],
  ): Level {
    const columns: string[] = [];
    const joins: string[] = [];
    for (const item of items) {
      if (item.kind === 'embed') {
        const embedded = this.#embed(item, source, path);
        columns.push(...embedded.columns);
        joins.push(embedded.join);
      } else columns.push(this.#columnSql(item, source));
    }
    const conditions = [
      ...on,
      ...clauses.where.map((condition) => conditionSql(condition, source, this.#params)),
    ];
    const where = conditions.length === 0 ? '' : ` WHERE ${conditions.join(' AND ')}`;
    return {
      columns: columns.join(', '),
      fromWhere: `FROM ${source.from}${joins.join('')}${where}`,
      order: orderSql(clauses.order, source, this.#params),
    };
  }

  /** A clause for a resource that is not embedded would be silently without effect. */
  refuseUnusedNodes(): void {
    for (const path of this.#nodes.keys()) {
      if (this.#usedPaths.has(path)) continue;
      const name = path.slice(path.lastIndexOf('.') + 1);
      throw new RestError(400, 'PGRST108', `'${name}' is not an embedded resource in this request`, {
        hint: `Verify that '${name}' is included in the 'select' query parameter.`,
      });
    }
  }

  #columnSql(item: Exclude<SelectItem, EmbedItem>, source: ReadSource): string {
    if (item.kind === 'all') return `${source.qualifier}.*`;
    const { field, alias, cast } = item;
    const sql = fieldSql(field, source, this.#params);
    // a JSON path is named after its last key that is not an index
    const lastKey = field.path.findLast(({ isIndex }) => !isIndex)?.key;
    const name = alias ?? lastKey ?? field.name;
    const value = cast === undefined ? sql : `CAST(${sql} AS ${this.#typeSql(cast)})`;
    return `${value} AS ${quoteName(name)}`;
  }

  /** A type of the catalogue, with the client's length and `[]`, which are digits and brackets only. */
  #typeSql(cast: string): string {
    const [, name = '', length = '', array = ''] = /^([\w ]+?)(\(\d+(?:,\d+)?\))?(\[\])?$/.exec(cast) ?? [];
    const quoted = this.#catalogue.types.get(name.toLowerCase()) ?? this.#catalogue.types.get(name);
    if (quoted === undefined) throw new RestError(400, '42704', `type "${cast}" does not exist`);
    return `${quoted}${length}${array}`;
  }

  #embed(item: EmbedItem, outer: ReadSource, parentPath: string): { columns: string[]; join: string } {
    if (outer.table === undefined) {
      throw new RestError(
        400,
        'PGRST200',
        `Could not find a relationship between '${outer.name}' and '${item.target}' in the schema cache`,
      );
    }
    const relationship = resolveRelationship(this.#catalogue, outer.table, item);
    const { path, clauses } = this.#clausesOf(item, parentPath);
    this.#serial += 1;
    const alias = quoteName(`${relationship.table.name}_${this.#serial}`.slice(-60));
    const inner: ReadSource = {
      name: relationship.table.name,
      qualifier: alias,
      columns: relationship.table.columns,
      from: `${quoteTable(relationship.table)} AS ${alias}`,
      table: relationship.table,
    };
    const on = relationship.pairs.map(
      ([outerColumn, innerColumn]) =>
        `${alias}.${quoteName(innerColumn)} = ${outer.qualifier}.${quoteName(outerColumn)}`,
    );
    const level = this.level(item.select, inner, path, clauses, on);
    return this.#joinSql(item, relationship, level, clauses);
  }

  #clausesOf(item: EmbedItem, parentPath: string): { path: string; clauses: NodeClauses } {
    const prefix = parentPath === '' ? '' : `${parentPath}.`;
    const paths = [item.alias, item.target].filter((name) => name !== undefined).map((name) => prefix + name);
    const path = paths.find((candidate) => this.#nodes.has(candidate)) ?? paths[0] ?? '';
    this.#usedPaths.add(path);
    return { path, clauses: this.#nodes.get(path) ?? emptyClauses() };
  }

  #joinSql(
    item: EmbedItem,
    relationship: Relationship,
    level: Level,
    clauses: NodeClauses,
  ): { columns: string[]; join: string } {
    const joined = quoteName(`pgrst_embed_${this.#serial}`);
    const name = quoteName(item.alias ?? item.target);
    const kind = item.inner ? 'INNER' : 'LEFT';
    // `rel()` embeds nothing but may filter
    const list = level.columns === '' ? '1 AS pgrst_present' : level.columns;
    if (item.spread && !relationship.toOne) {
      throw new RestError(400, 'PGRST119', `A spread operation on '${item.target}' is not possible`, {
        details: `'${item.target}' does not form a many-to-one or one-to-one relationship`,
      });
    }
    if (relationship.toOne) {
      const join = ` ${kind} JOIN LATERAL (SELECT ${list} ${level.fromWhere}) AS ${joined} ON TRUE`;
      if (level.columns === '') return { columns: [], join };
      return { columns: [item.spread ? `${joined}.*` : `row_to_json(${joined}.*) AS ${name}`], join };
    }
    const rows = `SELECT ${list} ${level.fromWhere}${level.order}${limitSql(clauses, this.#params)}`;
    const join = ` ${kind} JOIN LATERAL (SELECT json_agg(pgrst_row) AS rows FROM (${rows}) AS pgrst_row) AS ${joined} ON ${
      item.inner ? `${joined}.rows IS NOT NULL` : 'TRUE'
    }`;
    if (level.columns === '') return { columns: [], join };
    return { columns: [`COALESCE(${joined}.rows, '[]') AS ${name}`], join };
  }
}
