import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PROGRAM } from './program.js';
import { SLOWEST } from './readers.js';

/** @import { Run, Work } from './fuzz.js' */

/**
 * Runs libFuzzer on a reader of native/core until the time is up or something is found.
 *
 * @param {Work} work
 * @returns {Promise<Run>}
 */
export async function fuzzNative(work) {
  const { reader, seconds, slack, corpus, seeds, findings, temporary, dictionaries } = work;
  const words = path.join(temporary, 'words.dict');
  writeFileSync(words, dictionaries.map((file) => readFileSync(file, 'utf8')).join(''));
  const args = [
    seconds > 0 ? `-max_total_time=${seconds}` : '-runs=0',
    `-max_len=${reader.longest}`,
    ...(dictionaries.length > 0 ? [`-dict=${words}`] : []),
    `-artifact_prefix=${findings}/`,
    '-print_final_stats=1',
    // Behind the limits of test/fuzz/limits.h: of the whole process, and by the clock.
    '-rss_limit_mb=4096',
    '-timeout=300',
    corpus,
    seeds,
  ];
  const child = spawn(PROGRAM, args, {
    env: {
      ...process.env,
      TMPDIR: temporary,
      DISTILL_FUZZ: reader.name,
      DISTILL_FUZZ_SLACK: `${slack}`,
      DISTILL_FUZZ_SECONDS: `${SLOWEST}`,
      ASAN_OPTIONS: 'quarantine_size_mb=16',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let output = '';
  child.stderr.on('data', (part) => {
    output = (output + part).slice(-(2 ** 20));
  });
  const [code, signal] = await once(child, 'close');
  const last = (/** @type {RegExp} */ pattern) => [...output.matchAll(pattern)].at(-1)?.[1];
  const run = {
    executions: Number(last(/^stat::number_of_executed_units:\s+(\d+)/gm) ?? 0),
    coverage: Number(last(/\bcov: (\d+)/g) ?? 0),
  };
  if (code === 0) return { ...run, finding: null };
  const file = last(/Test unit written to (\S+)/g) ?? path.join(findings, 'unknown');
  writeFileSync(`${file}.txt`, output);
  const reason = /(ERROR: .*|runtime error: .*|terminate called after .*)$/m.exec(output)?.[1];
  const finding = { file, reason: reason ?? `ended with ${signal ?? code}` };
  return { ...run, finding };
}
