/** The commands no agent gets to run, as rules over the programs of a line. */
import { posix } from 'node:path';
import { type CommandPart, splitCommand } from './split-command.ts';

export interface DeniedCommand {
  readonly rule: string;
  readonly reason: string;
}

interface Rule {
  readonly rule: string;
  readonly reason: string;
  readonly denies: (part: CommandPart, place: Place) => boolean;
}

interface Place {
  readonly cwd: string;
  readonly workspace: string;
}

const PRIVILEGE = new Set([
  'sudo',
  'su',
  'doas',
  'pkexec',
  'mount',
  'umount',
  'insmod',
  'modprobe',
  'nsenter',
  'chroot',
]);
const POWER = new Set(['shutdown', 'reboot', 'halt', 'poweroff', 'telinit']);
const DISK = /^(mkfs(\..+)?|fdisk|sfdisk|parted|wipefs|blkdiscard|mkswap|shred)$/;
const DEVICE = /^\/dev\/(?!null$|zero$|stdout$|stderr$|tty$|fd\/|shm\/)/;
const INTERPRETERS = /^(sh|bash|dash|zsh|ksh|python[\d.]*|perl|ruby|node|php)$/;
const DOWNLOADERS = /^(curl|wget|fetch|aria2c)$/;

const program = (part: CommandPart): string => part.words[0] ?? '';
const options = (part: CommandPart): readonly string[] => part.words.slice(1).filter((word) => word.startsWith('-'));
const targets = (part: CommandPart): readonly string[] => part.words.slice(1).filter((word) => !word.startsWith('-'));
const hasShort = (part: CommandPart, letters: RegExp): boolean =>
  options(part).some((word) => /^-[A-Za-z]+$/.test(word) && letters.test(word));
const hasLong = (part: CommandPart, names: RegExp): boolean => options(part).some((word) => names.test(word));

/** Whether deleting or changing `target` with all below it would reach beyond what lies inside the workspace. */
function reachesOut(target: string, { cwd, workspace }: Place): boolean {
  if (/^~|^\$\{?HOME/.test(target)) return true;
  const path = posix.resolve(cwd, target.replace(/\/?\*+$/, '') || '/');
  // A pattern at the workspace's top (`rm -rf *`) clears the work, which the agent may do; the folder itself stays.
  if (path === workspace) return !target.endsWith('*');
  return !path.startsWith(`${workspace}/`);
}

function forcesPush(part: CommandPart): boolean {
  if (program(part) !== 'git' || !part.words.includes('push')) return false;
  const afterPush = part.words.slice(part.words.indexOf('push') + 1);
  return afterPush.some((word) => /^(--force.*|--mirror|--delete|--prune|-[a-z]*[fd][a-z]*|\+.+|:.+)$/.test(word));
}

const RULES: readonly Rule[] = [
  { rule: 'privilege', reason: 'raising privileges is not allowed', denies: (part) => PRIVILEGE.has(program(part)) },
  {
    rule: 'power',
    reason: 'stopping the machine is not allowed',
    denies: (part) =>
      POWER.has(program(part)) ||
      (program(part) === 'init' && /^[06]$/.test(part.words[1] ?? '')) ||
      (program(part) === 'systemctl' &&
        part.words.some((word) => /^(poweroff|reboot|halt|kexec|rescue|emergency)$/.test(word))),
  },
  {
    rule: 'device_write',
    reason: 'writing to devices or file systems directly is not allowed',
    denies: (part) =>
      DISK.test(program(part)) ||
      part.writes.some((path) => DEVICE.test(path)) ||
      (program(part) === 'dd' &&
        part.words.some((word) => DEVICE.test(word.replace(/^of=/, '')) && word.startsWith('of='))) ||
      (program(part) === 'tee' && targets(part).some((path) => DEVICE.test(path))),
  },
  {
    rule: 'delete_outside',
    reason: 'deleting recursively outside the workspace, or the workspace itself, is not allowed',
    denies: (part, place) =>
      program(part) === 'rm' &&
      (hasShort(part, /[rR]/) || hasLong(part, /^--(recursive|no-preserve-root)$/)) &&
      targets(part).some((target) => reachesOut(target, place)),
  },
  {
    rule: 'permissions_outside',
    reason: 'changing owners or modes recursively outside the workspace is not allowed',
    denies: (part, place) =>
      /^(chmod|chown|chgrp)$/.test(program(part)) &&
      (hasShort(part, /R/) || hasLong(part, /^--recursive$/)) &&
      targets(part)
        .slice(1)
        .some((target) => reachesOut(target, place)),
  },
  { rule: 'force_push', reason: 'rewriting or deleting what is published is not allowed', denies: forcesPush },
  {
    rule: 'kill_others',
    reason: 'ending processes by name or all at once is not allowed',
    denies: (part) =>
      /^(killall|pkill)$/.test(program(part)) || (program(part) === 'kill' && part.words.slice(2).includes('-1')),
  },
];

/** A download that goes straight into an interpreter, by a pipe or by a substitution in the same line. */
function runsDownload(parts: readonly CommandPart[]): boolean {
  const isPiped = parts.some((part, index) => {
    if (!part.piped || !INTERPRETERS.test(program(part))) return false;
    for (let at = index - 1; at >= 0; at -= 1) {
      if (DOWNLOADERS.test(program(parts[at] ?? part))) return true;
      if (parts[at]?.piped !== true) return false;
    }
    return false;
  });
  const isSubstituted = parts.some((part) => {
    const first = program(part);
    const runsText = INTERPRETERS.test(first) || first === 'source' || first === '.' || first.startsWith('$(');
    return (
      runsText &&
      part.words.some((word) =>
        splitCommand(/\$\(([\s\S]*)\)/.exec(word)?.[1] ?? '').some((inner) => DOWNLOADERS.test(program(inner))),
      )
    );
  });
  return isPiped || isSubstituted;
}

const FORK_BOMB = /(\S+)\s*\(\s*\)\s*\{[^}]*\1\s*\|\s*\1\s*&/;

/** The rule a command line breaks, if any. `extra` are a tenant's own denied beginnings, compared word by word. */
export function deniedCommand(line: string, place: Place, extra: readonly string[] = []): DeniedCommand | undefined {
  if (line.includes('\0')) return { rule: 'undecodable', reason: 'the command contains NUL' };
  if (FORK_BOMB.test(line.slice(0, 4_096))) return { rule: 'fork_bomb', reason: 'a fork bomb is not allowed' };
  const parts = splitCommand(line);
  if (runsDownload(parts))
    return {
      rule: 'run_download',
      reason: 'running a download unseen is not allowed: save it, look at it, then run it',
    };
  for (const part of parts) {
    const broken = RULES.find(({ denies }) => denies(part, place));
    if (broken !== undefined) return { rule: broken.rule, reason: broken.reason };
    const own = extra.find((beginning) => {
      const words = beginning.trim().split(/\s+/);
      return beginning.trim() !== '' && words.every((word, index) => part.words[index] === word);
    });
    if (own !== undefined) return { rule: 'tenant_deny', reason: `the policy denies "${own}"` };
  }
  return undefined;
}
