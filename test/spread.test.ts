import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { packageRoot } from '../lib/package.js';

// TypeScript does not check the keys of an object literal that is spread into another: a misspelt one compiles. So each
// key has a line of its own.

const isLiteral = (node: ts.Expression): boolean =>
  ts.isParenthesizedExpression(node)
    ? isLiteral(node.expression)
    : ts.isObjectLiteralExpression(node);

/** The lines of a source text on which an object literal is spread into another. */
function spreadLiterals(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isSpreadAssignment(node) && isLiteral(node.expression)) {
      const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
      found.push(`${file}:${line + 1}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** The sources below a folder, but for what others have written or built. */
function sourcesIn(folder: string): string[] {
  return readdirSync(path.join(packageRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.([cm]?js|ts)$/.test(name))
    .filter((name) => !/(^|[\\/])(node_modules|dist)[\\/]/.test(name))
    .map((name) => path.join(folder, name));
}

test('a spread literal is found, and a spread value is not', () => {
  const text = 'const a = { b: 1 };\nf({ ...a, ...({ c: 2 }) });\nf({ ...(a && { d: 3 }) });';
  expect(spreadLiterals('some.ts', text)).toEqual(['some.ts:2']);
});

test.each(['lib', 'scripts', 'test', 'examples'])('no object literal is spread in %s', (folder) => {
  const files = sourcesIn(folder);
  expect(files).not.toEqual([]);
  const read = (file: string) => readFileSync(path.join(packageRoot, file), 'utf8');
  expect(files.flatMap((file) => spreadLiterals(file, read(file)))).toEqual([]);
});
