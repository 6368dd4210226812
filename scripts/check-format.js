// clang-format over the C++ sources. `--write` formats them; without it, what differs is an error.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');

const files = ['native', 'scripts', 'test/fuzz', 'test/native'].flatMap((folder) =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(c|cpp|h)$/.test(name))
    .map((name) => path.join(folder, name))
    .sort(),
);
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '-Werror'];

try {
  const { status, error } = spawnSync(findClangFormat(), [...mode, ...files], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (error) throw error;
  if (status !== 0) console.error('check-format: to format them: npm run format');
  process.exitCode = status ?? 1;
} catch (error) {
  console.error(`check-format: ${error instanceof Error ? error.message.trim() : error}`);
  process.exitCode = 1;
}

/**
 * Finds the binary of the package clang-format, which takes all files at once. It has none for Linux on arm64: there, the
 * system's package of the same version serves (`apt install clang-format-15`).
 */
function findClangFormat() {
  try {
    return createRequire(import.meta.url)('clang-format').getNativeBinary();
  } catch (error) {
    if (spawnSync('clang-format-15', ['--version']).status === 0) return 'clang-format-15';
    throw error;
  }
}
