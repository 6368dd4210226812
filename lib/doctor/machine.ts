import { existsSync, readFileSync } from 'node:fs';
import os from 'node:os';
import { loadAddon, loadJpegAddon, loadPixelsAddon, native } from '../addon.js';
import { freeMemory, totalMemory } from '../memory.js';
import { UNNORMALIZED } from '../model/preprocessing.js';
import type {
  NativeAddon,
  NativeExecution,
  NativeMachine,
  NativePreprocessing,
} from '../native.js';
import type { CheckedDoctorOptions } from '../options/doctor.js';
import { packageRoot, version } from '../package.js';
import { count, size } from '../words.js';
import type { Topic } from './findings.js';
import { loadSetup, type Setup } from './setup.js';

/** The machine and the installation that a run would use. */
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
    /** Cores that this process may use. */
    cores: number;
    /** Features of the processor that make a difference here: 'AVX2', 'AVX-512', 'NEON', 'bf16', 'bf16 matrices'. */
    features: string[];
  };
  /** Bytes, within the limits of a container. */
  memory: { total: number; free: number };
  /** The GPUs that LibTorch can use, with their memory in bytes. */
  gpus: { device: string; memory: number; free: number }[];
  /** Threads that LibTorch would compute on. */
  threads: number | null;
  /** Device and precision of the run; `null` where the device cannot be used. */
  chosen: Compute | null;
  /** Device and precision that 'auto' stands for. */
  auto: Compute | null;
  /** The decoder of ordinary JPEGs. */
  jpeg: 'libjpeg-turbo' | 'sharp';
}

/** The device that convolutions run on, and their precision. */
export interface Compute {
  /** Such as 'cpu' or 'cuda:0'. */
  device: string;
  precision: 'fp32' | 'bf16';
}

/** Checks the installation and the machine. */
export async function examineMachine(
  options: CheckedDoctorOptions,
  topic: Topic,
): Promise<Machine> {
  const setup = await loadSetup();
  const versions = {
    'node-distill': version,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
  topic.ok('versions', `node-distill ${version} on Node ${versions.node}, ${versions.platform}.`);
  const addon = await checkAddon(setup, topic);
  const found = addon && (await native(addon.machine()));
  const libtorch = addon && found && checkLibtorch(addon, found, setup, topic);
  const cpu = {
    model: os.cpus()[0]?.model.trim() || 'unknown',
    cores: os.availableParallelism(),
    features: found?.features ?? [],
  };
  const threads = found && (options.threads ?? found.threads);
  checkProcessor(cpu, threads, topic);
  const memory = { total: totalMemory(), free: freeMemory() };
  topic.ok('memory', `${size(memory.free)} of ${size(memory.total)} of memory are free.`);
  const { chosen, auto } =
    addon && found
      ? await checkCompute(addon, found, libtorch?.cuda ?? null, options, topic)
      : { chosen: null, auto: null };
  const jpeg = loadJpegAddon() ? 'libjpeg-turbo' : 'sharp';
  checkJpeg(jpeg, setup, topic);
  return {
    versions,
    libtorch,
    cpu,
    memory,
    gpus: found?.gpus.map(({ peak: _, ...gpu }) => gpu) ?? [],
    threads,
    chosen,
    auto,
    jpeg,
  };
}

async function checkAddon(setup: Setup, topic: Topic): Promise<NativeAddon | null> {
  const load = () => {
    const addon = loadAddon();
    loadPixelsAddon();
    return addon;
  };
  const addon = await topic.attempt('addon', load, remedyOfAddon(setup));
  if (addon) topic.ok('addon', 'The native addons load.');
  return addon;
}

/** Returns the remedy of a missing addon; it names the LibTorch that the addon was built with, where that is the cause. */
function remedyOfAddon(setup: Setup): string {
  const folder = setup.builtWith(packageRoot);
  const { problem } = folder ? setup.inspect(folder) : { problem: '' };
  const cause = problem && ` The addon was built with the LibTorch in ${folder}, which ${problem}.`;
  return `Run \`npx distill setup\`; it finds or brings LibTorch, builds the addon, and says what is missing for it.${cause}`;
}

function checkLibtorch(
  addon: NativeAddon,
  found: NativeMachine,
  setup: Setup,
  topic: Topic,
): Machine['libtorch'] {
  const inspected = setup.inspect(found.libtorch);
  // The version names the build even where a library of CUDA's is missing: `2.13.0+cu130`.
  const [, major, minor] = /\+cu(\d+)(\d)$/.exec(inspected.version) ?? [];
  const cuda = found.cuda || (major ? `${major}.${minor}` : null);
  const version = inspected.version || addon.libtorch;
  if (version.split('+')[0] === addon.libtorch) {
    const build = cuda ? `built for CUDA ${cuda}` : 'built for the CPU alone';
    topic.ok('libtorch', `LibTorch ${version}, ${build}, in ${found.libtorch}.`);
  } else {
    topic.problem(
      'libtorch',
      'ERR_ADDON_MISSING',
      `The addon was built with LibTorch ${addon.libtorch}, but loads LibTorch ${version} from ${found.libtorch}.`,
      { remedy: 'Build it anew: `npx distill setup --force`.' },
    );
  }
  return { version, cuda, folder: found.libtorch };
}

function checkProcessor(
  { model, cores, features }: Machine['cpu'],
  threads: number | null,
  topic: Topic,
): void {
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

/** Returns the cores that a Linux container's limit of processor time stands for; `null` without a limit. */
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
  cuda: string | null,
  options: CheckedDoctorOptions,
  topic: Topic,
): Promise<{ chosen: Compute | null; auto: Compute }> {
  const { device, precision } = options;
  const { compute: auto, warning } = await choose(addon, 'auto', 'auto');
  const picked = await topic.attempt('device', () => choose(addon, device, precision));
  if (!picked) return { chosen: null, auto };
  const { compute: chosen } = picked;

  const memory = gpus.map((gpu) => `${gpu.device}: ${size(gpu.free)} of ${size(gpu.memory)} free`);
  const why =
    gpus.length > 0
      ? `the first of ${count(gpus.length, 'GPU')} that LibTorch can use (${memory.join('; ')})`
      : cuda
        ? `this LibTorch is built for CUDA, but finds no GPU (${warning})`
        : 'this LibTorch is built for the CPU alone';
  const choice = `The run computes on ${chosen.device}; \`device\` auto is ${auto.device}: ${why}`;
  if (gpus.length === 0 && !cuda && existsSync('/proc/driver/nvidia/version')) {
    topic.warn(
      'device',
      `${choice}, and there is an NVIDIA GPU here.`,
      'Build for it: `DISTILL_LIBTORCH=cuda npx distill setup --force`.',
    );
  } else if (gpus.length === 0 && cuda && device === 'auto') {
    topic.warn(
      'device',
      `${choice}.`,
      "Install NVIDIA's driver (`nvidia-smi` shows whether it works) and give the container its GPU, or set `device` to cpu.",
    );
  } else {
    topic.ok('device', `${choice}.`);
  }
  checkPrecision(chosen, auto.precision, features.includes('bf16'), topic);
  return { chosen, auto };
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

/** Returns the device and precision that LibTorch would take, and the reason where it is built for a GPU but takes none. */
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

function checkJpeg(jpeg: Machine['jpeg'], setup: Setup, topic: Topic): void {
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
