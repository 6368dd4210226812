// clang-format over the C++ sources. `--write` formats them; without it, what differs is an error.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const ROOT = path.resolve(import.meta.dirname, '..');

const files = ['native', 'test/native'].flatMap((folder) =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cpp|h)$/.test(name))
    .map((name) => path.join(folder, name))
    .sort(),
);
const mode = process.argv.includes('--write') ? ['-i'] : ['--dry-run', '-Werror'];

try {
  // The package is a wrapper that starts a process a file; its binary takes all files at once.
  const program = createRequire(import.meta.url)('clang-format').getNativeBinary();
  const { status, error } = spawnSync(program, [...mode, ...files], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (error) throw error;
  if (status !== 0) console.error('check-format: to format them: npm run format');
  process.exitCode = status ?? 1;
} catch (error) {
  // It bundles no binary for Linux on arm64.
  console.error(`check-format: ${error instanceof Error ? error.message.trim() : error}`);
  process.exitCode = 1;
}
