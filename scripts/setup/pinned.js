// Everything that changes with LibTorch's version.

/** The version of LibTorch that setup brings. */
export const VERSION = '2.13.0';

/** The version whose CUDA build `npm run check:cuda` brings, so that both are tried. */
export const CUDA_VERSION = '2.14.1';

/** The versions that the addon is written for. */
export const VERSIONS = [VERSION, CUDA_VERSION];

/** The address of PyTorch's LibTorch archives; `DISTILL_LIBTORCH_URL` names a mirror. */
export const ARCHIVE_BASE = 'https://download.pytorch.org/libtorch';

/**
 * The official archives by platform and build, under {@link ARCHIVE_BASE}. PyTorch publishes none for
 * Linux on arm64, nor for Intel Macs since 2.2; Linux on arm64 is served by the wheel.
 *
 * @type {Readonly<Record<string, { cpu: string, cuda?: string }>>}
 */
export const ARCHIVES = {
  'linux-x64': {
    cpu: `cpu/libtorch-shared-with-deps-${VERSION}%2Bcpu.zip`,
    cuda: `cu130/libtorch-shared-with-deps-${VERSION}%2Bcu130.zip`,
  },
  'darwin-arm64': { cpu: `cpu/libtorch-macos-arm64-${VERSION}.zip` },
};

/**
 * NVIDIA's libraries that the cu130 archive links with and does not hold. The archive has no list of
 * them; the wheel of the same build has, and this is that list.
 */
export const CUDA_ARCHIVE_COMPANIONS = [
  'cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.0.3; platform_system == "Linux"',
  'nvidia-cudnn-cu13==9.20.0.48; platform_system == "Linux"',
  'nvidia-cusparselt-cu13==0.8.1; platform_system == "Linux"',
  'nvidia-nccl-cu13==2.29.7; platform_system == "Linux"',
  'nvidia-nvshmem-cu13==3.4.5; platform_system == "Linux"',
];

/** A Python for which PyTorch publishes wheels, asked for when the one at hand has none. */
export const WHEEL_PYTHON = '3.12';

/** The oldest CMake that CMakeLists.txt accepts. */
export const CMAKE = [3, 18];

/**
 * The oldest compilers known to take LibTorch's headers as C++20: GCC 10.2 and Clang 11 were tried;
 * Apple's 13 is the first that follows a Clang that new.
 */
export const COMPILERS = { GCC: 10, Clang: 11, 'Apple Clang': 13 };
