import { existsSync, readFileSync } from 'node:fs';

/** @typedef {'compiler' | 'cmake' | 'make' | 'pip' | 'libjpeg'} Tool */

/**
 * The command that installs packages, and their names, by package manager.
 *
 * @type {Record<string, { refresh?: string, command: string, names: Record<Tool, string> }>}
 */
const MANAGERS = {
  apt: {
    // A fresh container has no package lists.
    refresh: 'apt-get update',
    command: 'apt-get install -y',
    names: {
      compiler: 'g++',
      cmake: 'cmake',
      make: 'make',
      pip: 'python3-pip',
      libjpeg: 'libjpeg-dev',
    },
  },
  dnf: {
    command: 'dnf install -y',
    names: {
      compiler: 'gcc-c++',
      cmake: 'cmake',
      make: 'make',
      pip: 'python3-pip',
      libjpeg: 'libjpeg-turbo-devel',
    },
  },
  zypper: {
    command: 'zypper install -y',
    names: {
      compiler: 'gcc-c++',
      cmake: 'cmake',
      make: 'make',
      pip: 'python3-pip',
      libjpeg: 'libjpeg8-devel',
    },
  },
  pacman: {
    command: 'pacman -S --needed',
    names: {
      compiler: 'gcc',
      cmake: 'cmake',
      make: 'make',
      pip: 'python-pip',
      libjpeg: 'libjpeg-turbo',
    },
  },
  brew: {
    command: 'brew install',
    names: {
      compiler: 'llvm',
      cmake: 'cmake',
      make: 'make',
      pip: 'python3',
      libjpeg: 'jpeg-turbo',
    },
  },
};

/** Package managers by the names that /etc/os-release uses. */
const BY_SYSTEM = [
  { names: /\b(debian|ubuntu)\b/, manager: 'apt' },
  { names: /\b(fedora|rhel|centos|amzn)\b/, manager: 'dnf' },
  { names: /\b(suse|opensuse)\b/, manager: 'zypper' },
  { names: /\barch\b/, manager: 'pacman' },
];

/**
 * The command that installs tools on this system, or the tools' names where the system is unknown.
 *
 * @param {readonly Tool[]} tools
 * @returns {string}
 */
export function installCommand(tools) {
  if (process.platform === 'darwin' && tools.includes('compiler')) {
    const rest = tools.filter((tool) => tool !== 'compiler' && tool !== 'make');
    return ['xcode-select --install', ...(rest.length > 0 ? [installCommand(rest)] : [])].join(
      ' && ',
    );
  }
  const manager = MANAGERS[systemManager()];
  if (!manager) return `install ${tools.join(', ')} with the system's package manager`;
  const sudo = process.platform === 'darwin' || process.getuid?.() === 0 ? '' : 'sudo ';
  const install = `${manager.command} ${tools.map((tool) => manager.names[tool]).join(' ')}`;
  const steps = manager.refresh ? [manager.refresh, install] : [install];
  return steps.map((step) => `${sudo}${step}`).join(' && ');
}

function systemManager() {
  if (process.platform === 'darwin') return 'brew';
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const names = [...release.matchAll(/^(?:ID|ID_LIKE)=(.*)$/gm)].map((match) => match[1]).join(' ');
  return BY_SYSTEM.find((system) => system.names.test(names))?.manager ?? '';
}
