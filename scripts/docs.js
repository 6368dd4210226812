// `npm run docs`: fills in the tables in docs/ between `<!-- generated: … -->` and `<!-- end -->`. They come from the schemas
// of the options and the JSDoc of their interfaces, from the commands' help, and from the tables of codes.
//
// node scripts/docs.js [--check] [folder]: with `--check` it writes nothing, and names the documents that are not current.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import ts from 'typescript';

const ROOT = path.resolve(import.meta.dirname, '..');

/** @type {(name: string) => Promise<any>} */
const built = (name) => import(new URL(`../dist/${name}.js`, import.meta.url).href);

/** @type {typeof import('../lib/options/schemas.js')} */
const { schemas } = await built('options/schemas');
/** @type {typeof import('../lib/options/option.js')} */
const { defaultIn, expectedBy, fieldOf, isRequired, namesOf } = await built('options/option');
/** @type {typeof import('../lib/cli/program.js')} */
const { createProgram } = await built('cli/program');
/** @type {typeof import('../lib/cli/output.js')} */
const { Output } = await built('cli/output');
/** @type {typeof import('../lib/errors.js')} */
const { ERRORS } = await built('errors');
/** @type {typeof import('../lib/warnings.js')} */
const { WARNINGS } = await built('warnings');

const program = createProgram(new Output({ json: false, quiet: true }));

/** The interfaces with the hover texts of the calls' options. */
const INTERFACES = {
  distill: 'DistillOptions',
  teach: 'TeachOptions',
  sweep: 'SweepOptions',
  compare: 'CompareOptions',
  teacherLogits: 'TeacherLogitsOptions',
  predict: 'PredictOptions',
  exportOnnx: 'OnnxOptions',
  convert: 'ConvertOptions',
  doctor: 'DoctorOptions',
  inspect: 'InspectOptions',
  datasetStats: 'DatasetStatsOptions',
};

/** @typedef {keyof typeof INTERFACES} Call */

/**
 * Makes the contents between two marks.
 *
 * @type {Record<string, (name: string) => string>}
 */
const GENERATORS = {
  options: (call) => optionTable(/** @type {Call} */ (call)),
  flags: helpOf,
  errors: () => codeTable(ERRORS),
  warnings: () => codeTable(WARNINGS),
  models: modelTable,
};

const texts = hoverTexts();

const { values, positionals } = parseArgs({
  options: { check: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const folder = positionals[0] ?? path.join(ROOT, 'docs');
const stale = readdirSync(folder)
  .filter((name) => name.endsWith('.md'))
  .filter((name) => update(path.join(folder, name), values.check));
if (values.check && stale.length > 0) {
  console.error(`docs: not current: ${stale.join(', ')}; to write them: npm run docs`);
  process.exitCode = 1;
}

/**
 * Fills in a document.
 *
 * @param {string} file
 * @param {boolean} check leaves it as it is
 * @returns {boolean} true for one that was not current
 */
function update(file, check) {
  const before = readFileSync(file, 'utf8');
  const after = before.replace(
    /^(<!-- generated: (\w+) ?(\w*) -->\n)[\s\S]*?^(<!-- end -->)$/gm,
    (_, begin, kind, name, end) => {
      const generate = GENERATORS[kind];
      if (!generate) throw new Error(`${file}: there is nothing to generate for '${kind}'.`);
      return `${begin}\n${generate(name)}\n\n${end}`;
    },
  );
  if (after !== before && !check) writeFileSync(file, after);
  return after !== before;
}

/**
 * Makes the table of a call's options; those that it shares with `distill()` only where it is a call of another kind.
 *
 * @param {Call} call
 */
function optionTable(call) {
  const schema = schemas[call];
  const isVariant = ['sweep', 'compare', 'doctor'].includes(call);
  /** @param {string} name */
  const isShared = (name) =>
    isVariant && name in schemas.distill.shape && text(call, name) === text('distill', name);
  // A call's arguments are no options.
  const names = namesOf(schema).filter((name) => texts[call].has(name) && !isShared(name));
  const rows = names.map((name) => {
    const field = fieldOf(schema, name);
    const { description, otherwise } = split(text(call, name));
    const takes = (expectedBy(field) ?? '').replace(/,$/, '').replace(/^(an?|one) /, '');
    const value = shownDefault(defaultIn(field));
    if (value !== undefined && !saysDefault(otherwise, value)) {
      throw new Error(
        `${call}: the default of ${name} is ${value}, but its JSDoc has '${otherwise}'.`,
      );
    }
    const computed = isRequired(field) ? '**required**' : otherwise;
    return [
      `\`${name}\``,
      inCode(takes),
      value === undefined ? computed : `\`${value}\``,
      description,
    ];
  });
  const lines = [['option', 'value', 'default', ''], ['---', '---', '---', '---'], ...rows];
  const table = lines.map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
  if (!isVariant) return table;
  const missing = namesOf(schemas.distill).filter((name) => !(name in schema.shape));
  const but = missing.length > 0 ? ` but ${missing.map((name) => `\`${name}\``).join(', ')}` : '';
  return `${table}\n\nAll [options of \`distill()\`](#options)${but} are options here, too.`;
}

/** @param {Call} call @param {string} name */
function text(call, name) {
  return texts[call].get(name) ?? '';
}

/**
 * Splits a hover text into what the option is, and its default at the end.
 *
 * @param {string} text
 */
function split(text) {
  const [, description = text, otherwise = ''] =
    /^([\s\S]*?)\s*\bDefault:?\s([\s\S]*)\.$/.exec(text) ?? [];
  return { description, otherwise };
}

/**
 * Shows a default; one that is computed is described in the hover text.
 *
 * @param {unknown} value
 */
function shownDefault(value) {
  if (value === undefined) return undefined;
  // A list of seeds is given as their number; another list has one item.
  const one = Array.isArray(value) ? (value.length > 1 ? value.length : value[0]) : value;
  return typeof one === 'string' ? `'${one}'` : `${one}`;
}

/**
 * Tells whether a hover text has this default: `1e-4` is 0.0001.
 *
 * @param {string} text
 * @param {string} value
 */
function saysDefault(text, value) {
  return text === value || Number(text) === Number(value);
}

/**
 * Shows quoted words as code.
 *
 * @param {string} text
 */
function inCode(text) {
  return text.replace(/'[^' ]+'/g, '`$&`');
}

/** @param {string} text */
function cell(text) {
  const escaped = text
    .split(/(`[^`]*`)/)
    .map((part) =>
      part.startsWith('`') ? part : part.replaceAll('<', '&lt;').replaceAll('/*', '/\\*'),
    )
    .join('');
  return escaped
    .replaceAll('|', '\\|')
    .replace(/\n+- /g, '<br>• ')
    .replace(/;\n\n/g, ';<br>')
    .replace(/\n\n/g, '<br>')
    .replace(/\s*\n\s*/g, ' ');
}

/**
 * Reads the JSDoc of all options, with TypeScript's own parser.
 *
 * @returns {Record<Call, Map<string, string>>}
 */
function hoverTexts() {
  const entry = path.join(ROOT, 'lib/index.ts');
  const { options } = ts.parseJsonConfigFileContent(
    ts.readConfigFile(path.join(ROOT, 'tsconfig.build.json'), ts.sys.readFile).config,
    ts.sys,
    ROOT,
  );
  const program = ts.createProgram([entry], options);
  const checker = program.getTypeChecker();
  const source = program.getSourceFile(entry);
  const module = source && checker.getSymbolAtLocation(source);
  if (!module) throw new Error(`${entry} exports nothing.`);
  const types = new Map(checker.getExportsOfModule(module).map((symbol) => [symbol.name, symbol]));
  const entries = Object.entries(INTERFACES).map(([call, name]) => {
    const symbol = types.get(name);
    if (!symbol) throw new Error(`${entry} exports no ${name}.`);
    const properties = checker
      .getDeclaredTypeOfSymbol(checker.getAliasedSymbol(symbol))
      .getProperties();
    const comments = properties.map(
      (property) =>
        /** @type {const} */ ([
          property.name,
          ts.displayPartsToString(property.getDocumentationComment(checker)),
        ]),
    );
    return [call, new Map(comments)];
  });
  return Object.fromEntries(entries);
}

/**
 * Returns the help of a command, from its usage on.
 *
 * @param {string} name
 */
function helpOf(name) {
  const command = program.commands.find((one) => one.name() === name);
  if (!command) throw new Error(`There is no command ${name}.`);
  return `\`\`\`\n${command.configureHelp({ helpWidth: 100 }).helpInformation().trimEnd()}\n\`\`\``;
}

/** @param {Readonly<Record<string, { meaning: string, remedy: string }>>} codes */
function codeTable(codes) {
  const rows = Object.entries(codes).map(([code, { meaning, remedy }]) => [
    `\`${code}\``,
    meaning,
    remedy,
  ]);
  const lines = [['code', 'meaning', 'remedy'], ['---', '---', '---'], ...rows];
  return lines.map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
}

/**
 * Shows the models of a package that scripts/survey/index.js has compared with PyTorch.
 *
 * @param {string} origin
 */
function modelTable(origin) {
  /** @type {import('./survey/types.js').ModelResult[]} */
  const all = JSON.parse(readFileSync(path.join(ROOT, 'scripts/survey/results.json'), 'utf8'));
  const results = all.filter(({ name }) => name.startsWith(`${origin}/`));
  const equal = results.filter(({ difference = 1 }) => difference <= 1e-4);
  const rows = results.map(({ name, refused, ...facts }) => {
    const { imageSize, parameters = 0, bytes = 0, operators, difference = 0, largest = 1 } = facts;
    return [
      `\`${name.slice(origin.length + 1)}\``,
      `${imageSize ?? ''}`,
      parameters ? (parameters / 1e6).toFixed(1) : '',
      bytes ? (bytes / 1e6).toFixed(0) : '',
      `${operators ?? ''}`,
      refused ?? difference.toExponential(0),
      refused ? '' : (difference / largest).toExponential(0),
    ];
  });
  const head = [
    'model',
    'pixels',
    'million parameters',
    'MB',
    'operators',
    'largest difference',
    'of the largest logit',
  ];
  const lines = [head, head.map(() => '---'), ...rows];
  const table = lines.map((cells) => `| ${cells.map(cell).join(' | ')} |`).join('\n');
  return `${equal.length} of ${results.length} are within 1e-4.\n\n${table}`;
}
