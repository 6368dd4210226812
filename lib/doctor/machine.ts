import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { freeMemory, totalMemory } from '../memory.js';
import { UNNORMALIZED } from '../model/preprocessing.js';
import {
  loadAddon,
  loadJpegAddon,
  type NativeAddon,
  type NativeExecution,
  type NativeMachine,
  type NativePreprocessing,
  native,
} from '../native.js';
import type { CheckedDoctorOptions } from '../options/doctor.js';
import { packageRoot, version } from '../package.js';
import { count, size } from '../words.js';
import type { Topic } from './findings.js';
import { loadSetup, type Setup } from './setup.js';

/** What a run would work on. */
export interface Machine {
  versions: { 'node-distill': string; node: string; platform: string };
  /** `null` where the addon does not load. */
  libtorch: {
    version: string;
    /** The CUDA that it is built for, such as '13.0'; `null` of a build for the CPU alone. */
    cuda: string | null;
    folder: string;
  } | null;
  cpu: {
    model: string;
    /** That this process may use. */
    cores: number;
    /** Of the processor, those that make a difference here: 'AVX2', 'AVX-512', 'NEON', 'bf16', 'bf16 matrices'. */
    features: string[];
  };
  /** Bytes, within the limits of a container. */
  memory: { total: number; free: number };
  /** With their memory in bytes. */
  gpus: { device: string; memory: number; free: number }[];
  /** Threads that LibTorch would compute on. */
  threads: number | null;
  /** What the run would compute on and in; `null` where that cannot be had. */
  chosen: Compute | null;
  /** What 'auto' comes to. */
  auto: Compute | null;
  /** What decodes ordinary JPEGs. */
  jpeg: 'libjpeg-turbo' | 'sharp';
}

/** Where convolutions are computed, and in what type. */
export interface Compute {
  /** Such as 'cpu' or 'cuda:0'. */
  device: string;
  precision: 'fp32' | 'bf16';
}

/** Looks at the installation, and at what it would work on. */
export async function examineMachine(
  options: CheckedDoctorOptions,
  topic: Topic,
): Promise<Machine> {
  const setup = await loadSetup();
  const platform = `${process.platform}-${process.arch}`;
  topic.ok('versions', `node-distill ${version} on Node ${process.versions.node}, ${platform}.`);
  const addon = await checkAddon(setup, topic);
  const told = addon && (await native(addon.machine()));
  const machine: Machine = {
    versions: { 'node-distill': version, node: process.versions.node, platform },
    libtorch: addon && told && checkLibtorch(addon, told, setup, topic),
    cpu: {
      model: os.cpus()[0]?.model.trim() || 'unknown',
      cores: os.availableParallelism(),
      features: told?.features ?? [],
    },
    memory: { total: totalMemory(), free: freeMemory() },
    gpus: told?.gpus.map(({ peak: _, ...gpu }) => gpu) ?? [],
    threads: told && (options.threads ?? told.threads),
    chosen: null,
    auto: null,
    jpeg: loadJpegAddon() ? 'libjpeg-turbo' : 'sharp',
  };
  checkProcessor(machine, topic);
  const { total, free } = machine.memory;
  topic.ok('memory', `${size(free)} of ${size(total)} of memory are free.`);
  if (addon && told) await checkCompute(addon, told, options, machine, topic);
  checkJpeg(machine, setup, topic);
  return machine;
}

async function checkAddon(setup: Setup, topic: Topic): Promise<NativeAddon | null> {
  const addon = await topic.attempt('addon', loadAddon, remedyOfAddon(setup));
  if (addon) topic.ok('addon', 'The native addon loads.');
  return addon;
}

/** Where the LibTorch that the addon was built with no longer serves, that is why. */
function remedyOfAddon(setup: Setup): string {
  const folder = setup.builtWith(packageRoot);
  const { problem } = folder ? setup.inspect(folder) : { problem: '' };
  const cause = problem && ` The addon was built with the LibTorch in ${folder}, which ${problem}.`;
  return `Run \`npx distill setup\`; it finds or brings LibTorch, builds the addon, and says what is missing for it.${cause}`;
}

function checkLibtorch(
  addon: NativeAddon,
  told: NativeMachine,
  setup: Setup,
  topic: Topic,
): Machine['libtorch'] {
  const { version } = setup.inspect(told.libtorch);
  // Where a library of CUDA's is missing, its name still says what the build is for: `2.13.0+cu130`.
  const [, major, minor] = /\+cu(\d+)(\d)$/.exec(version) ?? [];
  const cuda = told.cuda || (major ? `${major}.${minor}` : null);
  const found = { version: version || addon.libtorch, cuda, folder: told.libtorch };
  if (found.version.split('+')[0] === addon.libtorch) {
    const build = cuda ? `built for CUDA ${cuda}` : 'built for the CPU alone';
    topic.ok('libtorch', `LibTorch ${found.version}, ${build}, in ${told.libtorch}.`);
  } else {
    topic.problem(
      'libtorch',
      'ERR_ADDON_MISSING',
      `The addon was built with LibTorch ${addon.libtorch}, but loads LibTorch ${version} from ${told.libtorch}.`,
      { remedy: 'Build it anew: `npx distill setup --force`.' },
    );
  }
  return found;
}

function checkProcessor({ cpu, threads }: Machine, topic: Topic): void {
  const { model, cores, features } = cpu;
  const usable = Math.min(cores, quota() ?? cores);
  const what = `${model}, ${count(cores, 'core')}`;
  if (threads === null) {
    topic.ok('processor', `${what}.`);
    return;
  }
  const having = features.length > 0 ? ` with ${features.join(', ')}` : '';
  const working = `${what}${having}; LibTorch computes on ${count(threads, 'thread')}`;
  if (threads > usable) {
    topic.warn(
      'processor',
      `${working}, but this process may use ${count(usable, 'core')}: threads that wait for each other are slow.`,
      `Set \`threads\` to ${Math.max(1, Math.floor(usable))}.`,
    );
  } else if (process.arch === 'x64' && !features.includes('AVX2')) {
    topic.warn(
      'processor',
      `${working}, and the processor lacks AVX2, so that a training takes several times as long.`,
      'Train on a processor with AVX2 or AVX-512, or a virtual machine that passes them on.',
    );
  } else {
    topic.ok('processor', `${working}.`);
  }
}

/** Cores that a Linux container's processes may use together, where it limits their time; `null` where not. */
function quota(): number | null {
  try {
    const [time, period] = readFileSync('/sys/fs/cgroup/cpu.max', 'utf8').split(' ').map(Number);
    return time && period ? time / period : null; // "max" is no number
  } catch {
    return null;
  }
}

async function checkCompute(
  addon: NativeAddon,
  { gpus, features }: NativeMachine,
  options: CheckedDoctorOptions,
  machine: Machine,
  topic: Topic,
): Promise<void> {
  const { device, precision } = options;
  const { cuda = null } = machine.libtorch ?? {};
  const { compute: auto, warning } = await choose(addon, 'auto', 'auto');
  machine.auto = auto;
  const choice = await topic.attempt('device', () => choose(addon, device, precision));
  if (!choice) return;
  const { compute: chosen } = choice;
  machine.chosen = chosen;

  const memory = gpus.map((gpu) => `${gpu.device}: ${size(gpu.free)} of ${size(gpu.memory)} free`);
  const why =
    gpus.length > 0
      ? `the first of ${count(gpus.length, 'GPU')} that LibTorch can use (${memory.join('; ')})`
      : cuda
        ? `this LibTorch is built for CUDA, but finds no GPU (${warning})`
        : 'this LibTorch is built for the CPU alone';
  const told = `The run computes on ${chosen.device}; \`device\` auto is ${auto.device}: ${why}`;
  if (gpus.length === 0 && !cuda && existsSync('/proc/driver/nvidia/version')) {
    topic.warn(
      'device',
      `${told}, and there is an NVIDIA GPU here.`,
      'Build for it: `DISTILL_LIBTORCH=cuda npx distill setup --force`.',
    );
  } else if (gpus.length === 0 && cuda && device === 'auto') {
    topic.warn(
      'device',
      `${told}.`,
      "Install NVIDIA's driver (`nvidia-smi` shows whether it works) and give the container its GPU, or set `device` to cpu.",
    );
  } else {
    topic.ok('device', `${told}.`);
  }
  checkPrecision(chosen, auto.precision, features.includes('bf16'), topic);
}

function checkPrecision(
  { device, precision }: Compute,
  auto: 'fp32' | 'bf16',
  hasBf16: boolean,
  topic: Topic,
): void {
  const why =
    device !== 'cpu'
      ? 'on a GPU, bf16 is taken by name only'
      : hasBf16
        ? 'the processor multiplies bfloat16'
        : 'the processor does not multiply bfloat16';
  const choice = `Convolutions compute in ${precision}; \`precision\` auto is ${auto} here: ${why}`;
  if (device === 'cpu' && precision === 'bf16' && !hasBf16) {
    topic.warn(
      'precision',
      `${choice}, and emulates it slower than fp32.`,
      'Set `precision` to fp32 or auto.',
    );
  } else {
    topic.ok('precision', `${choice}.`);
  }
}

/** What LibTorch would compute on, and why on no GPU where it is built for one. */
async function choose(
  addon: NativeAddon,
  device: string,
  precision: 'auto' | 'fp32' | 'bf16',
): Promise<{ compute: Compute; warning: string | null }> {
  const options: NativePreprocessing & NativeExecution = {
    ...UNNORMALIZED,
    imageSize: 32,
    device,
    precision,
    threads: 0,
  };
  const session = new addon.Session(options);
  try {
    const { warning, ...compute } = await native(session.open());
    return { compute, warning };
  } finally {
    await session.close();
  }
}

function checkJpeg({ jpeg }: Machine, setup: Setup, topic: Topic): void {
  if (jpeg === 'libjpeg-turbo') {
    topic.ok('jpeg', 'libjpeg-turbo decodes JPEGs.');
    return;
  }
  topic.warn(
    'jpeg',
    'sharp decodes JPEGs, to the same values as libjpeg-turbo in more than twice the time.',
    `Install libjpeg-turbo 2.1 or later: \`${setup.installCommand(['libjpeg'])} && npx distill setup\`.`,
  );
}
