import { packageVersion } from '../../../kernel/package-root.ts';
import type { Catalogue } from './catalogue.ts';
import type { RestAnswer } from './rest-answer.ts';

/**
 * `GET /rest/v1/`: what is exposed, as the paths of an OpenAPI 2.0 document. PostgREST's own also describes every
 * column; here the names are what tools use it for.
 */
export function openApiDocument(catalogue: Catalogue, isHead: boolean): RestAnswer {
  const paths: Record<string, unknown> = {};
  for (const { name } of catalogue.tables.values()) {
    paths[`/${name}`] = Object.fromEntries(
      ['get', 'post', 'patch', 'delete'].map((method) => [method, { tags: [name], responses: {} }]),
    );
  }
  for (const [fn] of catalogue.functions.values()) {
    if (fn) paths[`/rpc/${fn.name}`] = { post: { tags: [`(rpc) ${fn.name}`], responses: {} } };
  }
  const document = {
    swagger: '2.0',
    info: { title: 'standard public schema', version: packageVersion() },
    paths,
  };
  return {
    status: 200,
    headers: { 'Content-Type': 'application/openapi+json; charset=utf-8' },
    body: isHead ? '' : JSON.stringify(document),
  };
}
