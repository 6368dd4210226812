import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CsvError, parse } from 'csv-parse';
import { DistillError } from '../errors.js';
import { openFile, UnreadableFile } from '../files.js';
import { printable, quoted } from '../words.js';

/** A line of a manifest, as it stands there. */
export interface ManifestRow {
  path: string;
  /** Empty of a picture without a class. */
  label: string;
  /** Empty where the line does not say. */
  split: string;
  /** The line's number, from 1; of a record of several lines the last. */
  line: number;
}

/** Characters that a line may have: far more than any path has. */
const LONGEST_LINE = 2 ** 16;
/** Bytes that are read at a time. */
const CHUNK = 2 ** 18;

/** Tells whether a path is that of a manifest, by its ending. */
export function isManifest(file: string): boolean {
  return endingOf(file) in READERS;
}

type Reader = (file: string, onRow: (row: ManifestRow) => void) => Promise<void>;

/** Readers of a manifest's text by the file's ending. */
const READERS: Readonly<Record<string, Reader>> = {
  '.csv': readCsv,
  '.jsonl': readJsonLines,
  '.ndjson': readJsonLines,
};

function endingOf(file: string): string {
  return path.extname(file).toLowerCase();
}

/**
 * Reads the lines of a manifest in their order. What `onRow` throws ends the reading.
 *
 * @throws DistillError `ERR_MANIFEST` that names the line.
 */
export async function readManifest(file: string, onRow: (row: ManifestRow) => void): Promise<void> {
  await READERS[endingOf(file)]?.(file, onRow);
}

/** Returns the refusal of a manifest, or of a line of it. */
export function badManifest(
  file: string,
  line: number | null,
  what: string,
  cause?: unknown,
): DistillError {
  const place = line === null ? '' : `line ${line}: `;
  return new DistillError(
    'ERR_MANIFEST',
    `The manifest '${printable(file)}' is not read: ${place}${what}.`,
    { cause },
  );
}

/** Reads a file's text piece by piece; a mark of byte order at its beginning is left out. */
async function* textOf(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes: Uint8Array, stream: boolean) => {
    try {
      return decoder.decode(bytes, { stream });
    } catch (cause) {
      throw badManifest(file, null, 'it is not UTF-8; save it as UTF-8', cause);
    }
  };
  try {
    const { handle } = await openFile(file);
    try {
      const bytes = new Uint8Array(CHUNK);
      for (;;) {
        const { bytesRead } = await handle.read(bytes, 0, CHUNK);
        if (bytesRead === 0) break;
        yield decode(bytes.subarray(0, bytesRead), true);
      }
      yield decode(new Uint8Array(0), false);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (!(cause instanceof UnreadableFile)) throw cause;
    throw badManifest(file, null, `it ${cause.message}`, cause);
  }
}

/** Reads comma-separated values as RFC 4180 has them, whose first line names the columns. */
async function readCsv(file: string, onRow: (row: ManifestRow) => void): Promise<void> {
  const parser = parse({
    info: true,
    max_record_size: LONGEST_LINE,
    skip_empty_lines: true,
    relax_column_count: true, // checked here, where the line is known
  });
  let columns: Record<(typeof COLUMNS)[number], number> | null = null;
  let width = 0;
  // The first error: pipeline() may reject with one that it ends the other parts by.
  let first: unknown = null;
  const keep = (error: unknown) => {
    first ??= error;
    throw error;
  };
  async function* source() {
    try {
      yield* textOf(file);
    } catch (error) {
      keep(error);
    }
  }
  const sink = async (records: AsyncIterable<CsvRecord>) => {
    for await (const { record, info } of records) {
      if (columns === null) {
        columns = columnsOf(file, record);
        width = record.length;
        continue;
      }
      const { lines: line } = info;
      if (record.length !== width) {
        const what = `expected ${width} values, as there are names in the first line, but there are ${record.length}; put a value that has a comma in quotes`;
        throw badManifest(file, line, what);
      }
      onRow({
        path: record[columns.path] as string,
        label: record[columns.label] as string,
        split: record[columns.split] ?? '',
        line,
      });
    }
  };
  try {
    await pipeline(Readable.from(source()), parser, (records) => sink(records).catch(keep));
  } catch (error) {
    const cause = first ?? error;
    if (!(cause instanceof CsvError)) throw cause;
    const { code, lines } = cause as CsvError & { lines?: number };
    const what =
      code === 'CSV_MAX_RECORD_SIZE'
        ? `it has more than ${LONGEST_LINE} characters; is a quote missing?`
        : `${cause.message.split('\n', 1)[0]?.replace(/\.$/, '')}; write quotes as RFC 4180 has them`;
    throw badManifest(file, lines ?? null, what, cause);
  }
  if (columns === null) throw badManifest(file, null, `it is empty; ${HEADER}`);
}

interface CsvRecord {
  record: string[];
  info: { lines: number };
}

const COLUMNS = ['path', 'label', 'split'] as const;
const HEADER = 'its first line is to name the columns: path,label or path,label,split';

/** Returns the columns' places; `split` is -1 where there is none. */
function columnsOf(
  file: string,
  names: readonly string[],
): Record<(typeof COLUMNS)[number], number> {
  const bare = names.map((name) => name.trim().toLowerCase());
  for (const name of COLUMNS) {
    if (bare.filter((other) => other === name).length > 1) {
      throw badManifest(file, 1, `there are several columns '${name}'; leave one of them`);
    }
    if (name !== 'split' && !bare.includes(name)) {
      const found = quoted(names.map(printable));
      throw badManifest(file, 1, `there is no column '${name}' among ${found}; ${HEADER}`);
    }
  }
  return {
    path: bare.indexOf('path'),
    label: bare.indexOf('label'),
    split: bare.indexOf('split'),
  };
}

/** Reads a JSON object from each line: `{"path": "a.jpg", "label": "ants", "split": "train"}`. Other fields are passed over. */
async function readJsonLines(file: string, onRow: (row: ManifestRow) => void): Promise<void> {
  let line = 0;
  let rest = '';
  const take = (text: string) => {
    line += 1;
    if (text.length > LONGEST_LINE) {
      throw badManifest(file, line, `it has more than ${LONGEST_LINE} characters`);
    }
    if (text.trim() !== '') onRow({ ...rowOf(file, line, text), line });
  };
  for await (const piece of textOf(file)) {
    const lines = (rest + piece).split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) take(text);
    if (rest.length > LONGEST_LINE) take(rest);
  }
  take(rest);
}

function rowOf(file: string, line: number, text: string): Omit<ManifestRow, 'line'> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw badManifest(file, line, 'it is no JSON', cause);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badManifest(file, line, 'expected an object such as {"path": "a.jpg", "label": "ants"}');
  }
  const { path, label, split } = value as Record<string, unknown>;
  if (typeof path !== 'string') {
    throw badManifest(file, line, `expected a text as "path", but it is ${show(path)}`);
  }
  const isLabel = typeof label === 'string' || Number.isSafeInteger(label);
  if (!isLabel && label !== null && label !== undefined) {
    throw badManifest(
      file,
      line,
      `expected a text or a whole number as "label", but it is ${show(label)}`,
    );
  }
  if (typeof split !== 'string' && split !== null && split !== undefined) {
    throw badManifest(file, line, `expected a text as "split", but it is ${show(split)}`);
  }
  return { path, label: `${label ?? ''}`, split: split ?? '' };
}

/** Shows a value of JSON briefly. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? 'not there';
  return printable(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}
