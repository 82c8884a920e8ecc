/** Which of the given gift ids the ledger does not have. $1 uuid[] */
export const missingGiftsSql = `
  select g.id from unnest($1::uuid[]) as g (id)
   where not exists (select from public.gift_ledger l where l.gift_id = g.id)
`;
