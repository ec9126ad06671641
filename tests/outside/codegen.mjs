// graphql-codegen writes TypeScript for our schema and some documents, and tsc finds no mistake in it.
import { generate } from '@graphql-codegen/cli';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { run } from './asking.mjs';

writeFileSync(
  'documents.graphql',
  `query Regulars($first: Int!, $where: CustomerWhere) {
    customers(first: $first, where: $where, orderBy: NAME_ASC) {
      totalCount edges { cursor node { ...Card } } pageInfo { hasNextPage endCursor }
    }
  }
  mutation Register($key: String!, $input: CustomerInput!) {
    customerCreate(idempotencyKey: $key, input: $input) {
      __typename ... on CustomerSaved { customer { ...Card } } ... on Error { code path message }
    }
  }
  subscription Changes($after: String) {
    changes(after: $after) { cursor rows { kind entity id row { id ...Card } } }
  }
  fragment Card on Customer { id version name gender phones { key typed } homeUnit { name } }`,
);

const config = {
  schema: process.env.SDL,
  documents: 'documents.graphql',
  silent: true,
  config: { strictScalars: true, defaultScalarType: 'unknown', scalars: JSON.parse(process.env.SCALARS) },
  generates: {
    'schema.ts': { plugins: ['typescript'] },
    'operations.ts': { plugins: ['typescript-operations'] },
  },
};

await run('graphql-codegen', {
  'TypeScript for the schema and documents': async () => {
    await generate(config, true);
    return `${readFileSync('schema.ts', 'utf8').split('\n').length} lines`;
  },
  'tsc --strict finds no mistake in it': async () => {
    writeFileSync('use.ts', `import type { RegularsQuery } from './operations.js';
      export const names = (found: RegularsQuery): (string | null | undefined)[] => found.customers.edges.map(({ node }) => node.name);
      // @ts-expect-error There is no such field.
      export const wrong = (found: RegularsQuery) => found.customers.nodes;`);
    const compilerOptions = { noEmit: true, strict: true, module: 'nodenext', types: [] };
    writeFileSync('tsconfig.json', JSON.stringify({ compilerOptions, files: ['use.ts', 'schema.ts'] }));
    try {
      execFileSync('node_modules/.bin/tsc', []);
    } catch (error) {
      throw new Error(String(error.stdout));
    }
  },
});
