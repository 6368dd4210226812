/** The packages that run ONNX models, the faster one first. Both are optional peers. */
export const RUNTIMES = ['onnxruntime-node', 'onnxruntime-web'] as const;

/** An onnxruntime that is installed. */
export interface InstalledRuntime {
  package: (typeof RUNTIMES)[number];
  /** Such as `onnxruntime-web 1.30.0`. */
  name: string;
  // biome-ignore lint/suspicious/noTsIgnore: where the package is installed, there is no error to expect.
  /** @ts-ignore: it is optional, and its types are missing where it is. */
  ort: typeof import('onnxruntime-web');
}

/** Loads the first onnxruntime that is installed; returns the reason where there is none. */
export async function loadRuntime(
  packages: readonly (typeof RUNTIMES)[number][] = RUNTIMES,
): Promise<InstalledRuntime | string> {
  const reasons: string[] = [];
  for (const name of packages) {
    try {
      const ort: InstalledRuntime['ort'] = await import(name);
      const { node, web } = ort.env.versions;
      return { package: name, name: `${name} ${node ?? web}`, ort };
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      const isAbsent = code === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${name}'`);
      if (!isAbsent) reasons.push(`${name} does not load (${message.split('\n')[0]})`);
    }
  }
  return reasons.join('; ') || 'neither onnxruntime-node nor onnxruntime-web is installed';
}
