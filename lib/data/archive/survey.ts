import path from 'node:path';
import type { HiddenFile } from '../hidden.js';
import { byCodePoint, byFolder, EXTENSIONS, isImage } from '../listing.js';
import { HALVES, sortLabels } from '../manifest.js';
import type { FolderSurvey, Sample, SplitSurvey } from '../samples.js';
import { type ArchiveEntry, entryPath } from './entry.js';
import { readArchive } from './index.js';
import { badArchive } from './names.js';

// The classes and halves of pictures in archives: by their folders, or by the labels beside them as WebDataset has them.

/** An entry that belongs to a half, with its name from the folder of that half. */
interface Placed {
  entry: ArchiveEntry;
  /** `null` of pictures in neither half. */
  half: 'train' | 'val' | null;
  name: string;
}

/** Bytes of a label's file. */
const LARGEST_LABEL = 2 ** 16;

/** The contents of label files by the path of their key, such as `data.tar/0001` for `0001.cls`, then by their ending. */
type Labels = Map<string, Partial<Record<'cls' | 'json' | 'txt', string>>>;

/**
 * Reads archives of pictures. They hold class folders (with or without train/ and val/, and perhaps in one folder), or, as
 * WebDataset's shards, pictures with a label beside them: `0001.jpg` and `0001.cls` (a class's index or name), `0001.txt`, or
 * `0001.json` with a field "label". Shards whose names begin with `train` and `val` are these halves.
 *
 * @param place The path that stands for them, for messages.
 * @throws DistillError `ERR_ARCHIVE`.
 */
export async function surveyArchives(
  place: string,
  files: readonly string[],
): Promise<SplitSurvey> {
  const entries: ArchiveEntry[] = [];
  const hidden: HiddenFile[] = [];
  const labels: Labels = new Map();
  for (const file of files) {
    if (files.indexOf(file) < files.lastIndexOf(file)) {
      throw badArchive(file, null, 'is given twice; leave one of them');
    }
    const index = await readArchive(file, async (entry, read) => {
      const { key, ending } = keyOf(entry);
      if (!isLabelEnding(ending) || entry.length > LARGEST_LABEL) return;
      const text = Buffer.from(await read()).toString('utf8');
      labels.set(key, { ...labels.get(key), [ending]: text });
    });
    for (const entry of index.entries) entries.push(entry);
    for (const one of index.hidden) hidden.push(one);
  }
  const images = entries.filter(({ name }) => isImage(name));
  if (images.length === 0) throw badArchive(place, null, 'holds no pictures');
  const root = files.length === 1 ? (files[0] as string) : path.dirname(files[0] as string);
  const hasLabels = [...labels.values()].some(({ cls }) => cls !== undefined);
  const isFlat = images.every(({ name }) => !name.includes('/'));
  const survey =
    hasLabels || (isFlat && labels.size > 0)
      ? surveyLabels(place, root, images, labels)
      : surveyFolders(place, root, entries);
  // What is passed over is reported once.
  const first = survey.train ?? survey.unsplit ?? survey.val;
  if (first) first.hidden = hidden;
  return survey;
}

/** Returns an entry's key as WebDataset has it: up to the first dot of its last part. */
function keyOf(entry: ArchiveEntry): { key: string; ending: string } {
  const file = entryPath(entry);
  const dot = file.indexOf('.', file.lastIndexOf('/') + 1);
  return dot < 0
    ? { key: file, ending: '' }
    : { key: file.slice(0, dot), ending: file.slice(dot + 1).toLowerCase() };
}

function isLabelEnding(ending: string): ending is 'cls' | 'json' | 'txt' {
  return ending === 'cls' || ending === 'json' || ending === 'txt';
}

/** Sorts pictures into classes by the labels beside them. */
function surveyLabels(
  place: string,
  root: string,
  images: readonly ArchiveEntry[],
  labels: Labels,
): SplitSurvey {
  const keys = new Set<string>();
  const labelled: { label: string; placed: Placed }[] = [];
  for (const entry of images) {
    const { key, ending } = keyOf(entry);
    if (!EXTENSIONS.includes(`.${ending}`)) continue; // such as 0001.seg.png, which is no sample's picture
    const refuse = (what: string) => badArchive(entry.archive.path, entry.name, what);
    if (keys.has(key)) throw refuse('has the key of another picture; leave one of them');
    keys.add(key);
    const label = labelIn(labels.get(key) ?? {}, refuse);
    labelled.push({ label, placed: { entry, half: null, name: entry.name } });
  }
  const classes = sortLabels(new Set(labelled.map(({ label }) => label)));
  const indices = new Map(classes.map((name, index) => [name, index]));
  const halves = halvesOfShards(labelled.map(({ placed }) => placed.entry.archive.path));
  const survey = (half: Placed['half']) => {
    const some = labelled.filter(
      ({ placed }) => (halves?.get(placed.entry.archive.path) ?? null) === half,
    );
    if (some.length === 0) return null;
    const placed = some.map((one) => ({
      label: indices.get(one.label) as number,
      placed: one.placed,
    }));
    return surveyOf(root, classes, placed, []);
  };
  return { place, train: survey('train'), val: survey('val'), unsplit: survey(null) };
}

/** Returns the halves of shards by the beginning of their names; `null` unless each of them says one. */
function halvesOfShards(files: readonly string[]): Map<string, 'train' | 'val' | 'test'> | null {
  const halves = new Map<string, 'train' | 'val' | 'test'>();
  for (const file of new Set(files)) {
    const [word = ''] = /^[a-z]+/i.exec(path.basename(file)) ?? [];
    const half = HALVES[word.toLowerCase()];
    if (half === undefined) return null;
    halves.set(file, half);
  }
  return halves;
}

function labelIn(
  { cls, json, txt }: Partial<Record<'cls' | 'json' | 'txt', string>>,
  refuse: (what: string) => Error,
): string {
  const label = cls?.trim() ?? (json === undefined ? undefined : labelInJson(json)) ?? txt?.trim();
  if (label === undefined) {
    throw refuse(
      'has no label beside it: a file of the same name that ends in .cls, .txt or .json',
    );
  }
  if (label === '' || label.length > 1000 || /[\0\n\ufffd]/.test(label)) {
    throw refuse('has a label beside it that cannot be the name of a class');
  }
  return label;
}

function labelInJson(text: string): string | undefined {
  try {
    const { label } = JSON.parse(text) as { label?: unknown };
    return typeof label === 'string' || Number.isSafeInteger(label) ? `${label}` : undefined;
  } catch {
    return undefined;
  }
}

/** Sorts pictures into classes by their folders. */
function surveyFolders(place: string, root: string, entries: readonly ArchiveEntry[]): SplitSurvey {
  const prefixes = new Map<string, string>();
  const placed: Placed[] = [];
  for (const [archive, own] of groupBy(entries, (entry) => entry.archive.path)) {
    const prefix = commonFolder(own);
    prefixes.set(archive, prefix);
    const halves = halvesIn(own.map(({ name }) => name.slice(prefix.length)));
    for (const entry of own) {
      const name = entry.name.slice(prefix.length);
      const folder = name.slice(0, name.indexOf('/'));
      const half = halves ? (HALVES[folder] ?? 'test') : null;
      if (half === 'test') continue;
      placed.push({ entry, half, name: half === null ? name : name.slice(folder.length + 1) });
    }
  }
  const survey = (half: Placed['half']) => {
    const some = placed.filter((one) => one.half === half);
    if (some.length === 0) return null;
    const images = some.filter(({ name }) => isImage(name));
    const inClasses = some.filter(({ name }) => name.includes('/'));
    const folderOf = (name: string) => name.slice(0, name.indexOf('/'));
    const classes = [...new Set(inClasses.map(({ name }) => folderOf(name)))].sort(byCodePoint);
    const indices = new Map(classes.map((name, index) => [name, index]));
    const labelled = images
      .filter(({ name }) => name.includes('/'))
      .map((one) => ({ label: indices.get(folderOf(one.name)) as number, placed: one }));
    const loose = images.filter(({ name }) => !name.includes('/'));
    const [prefix = ''] = prefixes.values();
    const isOne = prefixes.size === 1;
    const [one] = some as [Placed];
    const ownRoot = isOne ? path.join(root, prefix, halfFolder(one, prefix)) : root;
    return {
      ...surveyOf(ownRoot, classes, labelled, inClasses),
      loose: loose.map(({ entry }) => entryPath(entry)),
    };
  };
  return { place, train: survey('train'), val: survey('val'), unsplit: survey(null) };
}

function groupBy<T, Key>(items: readonly T[], keyOf: (item: T) => Key): Map<Key, T[]> {
  const groups = new Map<Key, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

/** Returns the folder of an entry's half, such as `train`. */
function halfFolder({ entry, name }: Placed, prefix: string): string {
  return entry.name.slice(prefix.length, entry.name.length - name.length);
}

/** Returns the folder, with its `/`, that all classes or halves of an archive lie in; empty where they lie in it itself. */
function commonFolder(entries: readonly ArchiveEntry[]): string {
  const [first] = entries;
  const end = first?.name.indexOf('/') ?? -1;
  const folder = first?.name.slice(0, end + 1) ?? '';
  const images = entries.filter(({ name }) => isImage(name));
  const isCommon =
    end > 0 &&
    HALVES[folder.slice(0, -1)] === undefined &&
    entries.every(({ name }) => name.startsWith(folder)) &&
    images.every(({ name }) => name.indexOf('/', folder.length) > 0);
  return isCommon ? folder : '';
}

/** Tells whether the first folders are halves: those of their names hold folders, as a class called train does not. */
function halvesIn(names: readonly string[]): boolean {
  return names.some((name) => {
    const [folder = '', ...rest] = name.split('/');
    return HALVES[folder] === 'train' && rest.length >= 2 && isImage(name);
  });
}

function surveyOf(
  root: string,
  classes: string[],
  labelled: readonly { label: number; placed: Placed }[],
  others: readonly Placed[],
): FolderSurvey {
  const byClass = groupBy(labelled, ({ label }) => label);
  const samples = [...classes.keys()].flatMap((label) =>
    (byClass.get(label) ?? [])
      .sort((a, b) => byFolder(a.placed.name, b.placed.name))
      .map(({ placed: { entry } }): Sample => ({ path: entryPath(entry), label, source: entry })),
  );
  const ignored = others.filter(({ name }) => !isImage(name)).map(({ entry }) => entryPath(entry));
  return { root, classes, samples, ignored, hidden: [], loose: [] };
}
