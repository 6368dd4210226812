import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../lib/package.js';

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(path.join(packageRoot, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
];

const read = (document: string) => readFileSync(path.join(packageRoot, document), 'utf8');

/** The text without code blocks, whose paths are the reader's. */
const prose = (document: string) => read(document).replace(/^```[\s\S]*?^```/gm, '');

/** The anchors of a document's headings, as GitHub makes them. */
function anchorsOf(document: string): string[] {
  return [...prose(document).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

describe.each(documents)('%s', (document) => {
  test('links to files and headings that are there', () => {
    const links = [...prose(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false;
      const [file = '', anchor] = link.split('#');
      const target = file ? path.join(path.dirname(document), file) : document;
      if (!existsSync(path.join(packageRoot, target))) return true;
      return anchor !== undefined && !anchorsOf(target).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  test('names files of this repository that are there', () => {
    const rooms = 'lib|native|test|scripts|examples|docs|\\.ci|\\.github';
    // The commands of CONTRIBUTING.md are run in this repository; not what follows another folder's name, as in `~/…`.
    const text = document === 'CONTRIBUTING.md' ? read(document) : prose(document);
    const named = text.matchAll(new RegExp(`(?<![\\w./~-])(?:${rooms})/[\\w./-]*\\w/?`, 'g'));
    const missing = [...named]
      .map(([file]) => file)
      .filter((file) => !existsSync(path.join(packageRoot, file)));
    expect(missing).toEqual([]);
  });
});
