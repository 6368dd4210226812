import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { VERSION } from '../../../scripts/setup/pinned.js';
import {
  expectNothingKept,
  expectScreen,
  libtorchFiles,
  node,
  place,
  temporary,
  write,
} from '../../helpers/setup.js';

const HAS_TOOLS = ['cmake', 'c++'].every((name) => spawnSync(name, ['--version']).status === 0);

describe('the toolchain', () => {
  function program(folder: string, name: string, script: string) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(path.join(folder, name), 0o755);
  }

  it('is checked before LibTorch is fetched, and all that is missing is named at once', async () => {
    const { cache, setup } = place();
    const outcome = await setup([]);
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('no C++ compiler; no CMake (3.18 or later is needed)');
    expect(outcome.stderr).toContain('there is neither ninja nor make');
    expect(outcome.stderr).toMatch(/install .*cmake/);
    expectScreen(outcome);
    expectNothingKept(cache);
  });

  it.runIf(HAS_TOOLS)('may lack only the compiler, or have one that is too old', async () => {
    const tools = path.join(temporary, 'tools');
    mkdirSync(tools, { recursive: true });
    for (const name of ['cmake', 'make', 'ninja']) {
      const found = spawnSync('/bin/sh', ['-c', `command -v ${name}`])
        .stdout.toString()
        .trim();
      if (found) symlinkSync(found, path.join(tools, name));
    }
    const { setup } = place({ PATH: tools });
    expect((await setup([])).stderr).toMatch(/compiled here: no C\+\+ compiler\.\n/);
    expect((await setup([], { CXX: 'no-such-cxx' })).stderr).toContain('CXX names no-such-cxx');

    program(`${temporary}/old`, 'g++', "echo '#define __GNUC__ 9'");
    const old = await setup([], { CXX: `${temporary}/old/g++` });
    expect(old.stderr).toMatch(/old\/g\+\+ is GCC 9, and 10 or later is needed/);
    // The system's package would bring the same old one again.
    expect(old.stderr).not.toContain('install');
    expect(old.stderr).toContain('CXX=<compiler> npx distill setup');
    program(`${temporary}/old`, 'clang++', "echo '#define __GNUC__ 4\n#define __clang_major__ 10'");
    const clang = await setup([], { CXX: `${temporary}/old/clang++ -O2` });
    expect(clang.stderr).toMatch(/old\/clang\+\+ is Clang 10, and 11 or later is needed/);
    program(`${temporary}/old`, 'broken', 'exit 3');
    const broken = await setup([], { CXX: `${temporary}/old/broken` });
    expect(broken.stderr).toContain('old/broken does not work (it exited with 3)');
  });

  it.runIf(HAS_TOOLS)('may lack only CMake, or have one that is too old', async () => {
    const { setup } = place();
    const compiler = spawnSync('/bin/sh', ['-c', 'command -v c++']).stdout.toString().trim();
    program(`${temporary}/oldcmake`, 'make', '');
    const without = { PATH: `${temporary}/oldcmake`, CXX: compiler };
    // A compiler starts its parts by itself, so it works without PATH.
    expect((await setup([], without)).stderr).toMatch(/compiled here: no CMake/);
    program(`${temporary}/oldcmake`, 'cmake', "echo 'cmake version 3.16.3'");
    const outcome = await setup([], without);
    expect(outcome.stderr.match(/install/g)).toEqual(['install']);
    expect(outcome.stderr).toMatch(/cmake is CMake 3\.16\.3, and 3\.18 or later is needed/);
    expect(outcome.stderr).toContain('pip install cmake');
    expectScreen(outcome);
  });
});

// A small addon with the real cmake-js, CMake and compiler.
describe.runIf(HAS_TOOLS)('the build', () => {
  const CMAKE_LISTS = `cmake_minimum_required(VERSION 3.18)
project(distill LANGUAGES CXX)
add_library(distill MODULE addon.cpp)
set_target_properties(distill PROPERTIES PREFIX "" SUFFIX ".node"
  LIBRARY_OUTPUT_DIRECTORY "\${CMAKE_BINARY_DIR}/Release")
target_include_directories(distill PRIVATE \${CMAKE_JS_INC} "\${LIBTORCH}/include")
if(APPLE)
  target_link_options(distill PRIVATE -undefined dynamic_lookup)
endif()
`;
  const addon = (body: string) => `#include <ATen/ATen.h>
#include <node_api.h>
NAPI_MODULE_INIT() { ${body} return exports; }
`;

  function project(source: string) {
    const made = place({ PATH: process.env.PATH });
    write(made.root, { 'CMakeLists.txt': CMAKE_LISTS, 'addon.cpp': source });
    const libtorch = write(`${made.root}/libtorch`, libtorchFiles(VERSION));
    return { ...made, libtorch, file: `${made.root}/build/Release/distill.node` };
  }

  it('ends with one line, and is not repeated when nothing has changed', async () => {
    const { setup, libtorch, file, root } = project(addon(''));
    const first = await setup([], { LIBTORCH: libtorch });
    expect(first.stderr).toMatch(/\ndistill setup: done: LibTorch 2\.13\.0 \(CPU\), \d+ s\n/);
    const { mtimeMs } = statSync(file);

    // LIBTORCH need not be set again: the build remembers.
    const second = await setup([]);
    expect(second.stderr).toContain('up to date: LibTorch 2.13.0 (CPU)');
    expect(statSync(file).mtimeMs).toBe(mtimeMs);

    writeFileSync(`${root}/addon.cpp`, `${addon('')}// changed\n`);
    expect((await setup([])).stderr).toContain('done: ');
    expect(statSync(file).mtimeMs).toBeGreaterThan(mtimeMs);
  });

  it('has a folder of its own for debugging', async () => {
    const { setup, libtorch, file, root } = project(addon(''));
    expect((await setup(['--debug'], { LIBTORCH: libtorch })).code).toBe(0);
    expect(existsSync(`${root}/build-debug/Release/distill.node`)).toBe(true);
    expect(readFileSync(`${root}/build-debug/CMakeCache.txt`, 'utf8')).toMatch(
      /^CMAKE_BUILD_TYPE:\w+=Debug$/m,
    );
    expect(existsSync(file)).toBe(false);
  });

  it('happens once where two are asked for at once, also from scratch', async () => {
    const { setup, libtorch, file } = project(addon(''));
    for (const args of [[], ['--force']]) {
      const both = await Promise.all([
        setup(args, { LIBTORCH: libtorch }),
        setup([], { LIBTORCH: libtorch }),
        setup([], { LIBTORCH: libtorch }),
      ]);
      expect(both.map(({ code, stderr }) => ({ code, failed: stderr.includes('failed') }))).toEqual(
        both.map(() => ({ code: 0, failed: false })),
      );
      expect(both.some(({ stderr }) => stderr.includes('waiting for another setup'))).toBe(true);
      expect(existsSync(file)).toBe(true);
    }
  });

  it('says what would make JPEGs faster, until it is there', async () => {
    const { setup, libtorch, root } = project(addon(''));
    const tip = 'JPEGs would be read faster with libjpeg-turbo';
    expect((await setup([], { LIBTORCH: libtorch })).stderr).toMatch(
      new RegExp(`${tip}.*&& npx distill setup\\n`),
    );

    const jpeg = CMAKE_LISTS.replaceAll('(distill ', '(jpeg ').replace(
      /^(cmake|project).*\n/gm,
      '',
    );
    writeFileSync(`${root}/CMakeLists.txt`, CMAKE_LISTS + jpeg);
    const second = await setup([]);
    expect(second.stderr).toContain('done: ');
    expect(second.stderr).not.toContain(tip);
  });

  it('starts anew when LibTorch has moved, and when the package was copied', async () => {
    const { setup, libtorch, root, env } = project(addon(''));
    expect((await setup([], { LIBTORCH: libtorch })).code).toBe(0);
    renameSync(libtorch, `${root}/moved`);
    expect((await setup([], { LIBTORCH: `${root}/moved` })).stderr).toContain('done: ');

    const copy = `${root}-copy`;
    cpSync(root, copy, { recursive: true, verbatimSymlinks: true });
    const copied = await node(copy, ['scripts/distill.js', 'setup'], env);
    expect(copied.stderr).toContain('done: ');
    expect(readFileSync(`${copy}/build/CMakeCache.txt`, 'utf8')).toContain(
      `CMAKE_HOME_DIRECTORY:INTERNAL=${copy}`,
    );
  });

  it('shows the compiler’s error on one screen, with the path of the log', async () => {
    const { setup, libtorch, root } = project(addon('no_such_function();'));
    const outcome = await setup([], { LIBTORCH: libtorch });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toMatch(/addon\.cpp:\d+:\d+: error: .*no_such_function/);
    expect(outcome.stderr).toContain(`${root}/build/setup.log`);
    expect(readFileSync(`${root}/build/setup.log`, 'utf8')).toContain('no_such_function');
    expectScreen(outcome);
  });

  it('says so when the addon does not load', async () => {
    const source = addon('napi_throw_error(env, nullptr, "libfoo.so.1: cannot open"); ');
    const { setup, libtorch } = project(source);
    const outcome = await setup([], { LIBTORCH: libtorch });
    expect(outcome.code).toBe(1);
    expect(outcome.stderr).toContain('does not load: libfoo.so.1: cannot open');
    expectScreen(outcome);
  });

  it('is what the install script does, and DISTILL_SKIP_SETUP leaves out', async () => {
    const { root, libtorch, env, file } = project(addon(''));
    const install = ['scripts/setup/install.js'];
    const skipped = await node(root, install, { ...env, DISTILL_SKIP_SETUP: '1' });
    expect(skipped).toMatchObject({ code: 0, stderr: '' });
    expect(skipped.stdout).toContain('npx distill setup');
    expect(existsSync(file)).toBe(false);

    const failed = await node(root, install, { ...env, LIBTORCH: '/nowhere' });
    expect(failed.code).toBe(1);
    expectScreen(failed);

    expect(await node(root, install, { ...env, LIBTORCH: libtorch })).toMatchObject({ code: 0 });
    expect(existsSync(file)).toBe(true);
  });
});
