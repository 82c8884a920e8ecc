/** The database's clock, in milliseconds since the epoch. */
export const databaseTimeSql = `select (extract(epoch from clock_timestamp()) * 1000)::float8 as "nowMs"`;
