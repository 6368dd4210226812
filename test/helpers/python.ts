import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const judge = fileURLToPath(new URL('../parity/judge', import.meta.url));
const ours = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url));
const command = process.env.DISTILL_PYTHON ?? (existsSync(ours) ? ours : 'python3');

/**
 * A Python with torch, torchvision and Pillow to compare with: `DISTILL_PYTHON`, else `.venv/bin/python` in the
 * checkout, else `python3`. Null where that lacks them; tests that need it skip then.
 */
export const python: string | null = findPython();

function findPython(): string | null {
  const find =
    'import importlib.util as u; assert all(map(u.find_spec, ("torch", "torchvision", "PIL")))';
  try {
    execFileSync(command, ['-c', find], { stdio: 'ignore' });
    return command;
  } catch {
    console.warn(
      `Skipping the comparisons with PyTorch: ${command} lacks torch, torchvision or Pillow. ` +
        'Set DISTILL_PYTHON to a Python that has them.',
    );
    return null;
  }
}

/** Returns true if the judge's Python has a further module, and otherwise says that its tests are skipped. */
export function pythonWith(module: string): boolean {
  if (python === null) return false;
  try {
    execFileSync(command, ['-c', `import ${module}`], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn(`Skipping the comparisons with Python's ${module}: ${command} lacks it.`);
    return false;
  }
}

/** Runs a script with test/parity/judge importable, gives it `input` as JSON, and returns the JSON that it prints. */
export function runPython(args: string[], input: unknown = null): unknown {
  const printed = execFileSync(command, args, {
    input: JSON.stringify(input),
    encoding: 'utf8',
    stdio: 'pipe', // what it has to say belongs to the error, if there is one
    maxBuffer: 2 ** 30,
    // Threads that wait leave the processor to the tests beside them.
    env: {
      ...process.env,
      OMP_WAIT_POLICY: 'passive',
      PYTHONPATH: judge,
      PYTHONDONTWRITEBYTECODE: '1',
    },
  });
  return JSON.parse(printed);
}
