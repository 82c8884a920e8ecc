import pg from 'pg';
import type { Table } from './catalogue.ts';

/** Quotes a name. Names come from the catalogue or, for aliases, from the client: both are quoted alike. */
export const quoteName = pg.escapeIdentifier;

export function quoteTable(table: Pick<Table, 'schema' | 'name'>): string {
  return `${quoteName(table.schema)}.${quoteName(table.name)}`;
}

/** The parameters of one statement, in the order they were first needed. */
export class Params {
  readonly values: (string | null)[] = [];

  /** `$3`: the value never becomes part of the text. */
  add(value: string | null): string {
    this.values.push(value);
    return `$${this.values.length}`;
  }
}

/** A PostgreSQL array literal of texts: `{"a","b,c"}`. */
export function arrayLiteral(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/[\\"]/g, '\\$&')}"`).join(',')}}`;
}
