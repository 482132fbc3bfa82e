import t from 'tap';
import { countCores, readSystemFile } from '../../src/engine/cores.js';

t.test('the smallest of affinity and quotas, at least 1', async (t) => {
  const v2 = { '/proc/self/cgroup': '0::/a/b\n' };
  const v1 = { '/proc/self/cgroup': '12:memory:/x\n4:cpu,cpuacct:/x\n0::/\n' };
  const cases: [string, number, Record<string, string>, number][] = [
    ['no control groups', 8, {}, 8],
    ['a group without a quota', 8, { ...v2, '/sys/fs/cgroup/a/b/cpu.max': 'max 100000\n' }, 8],
    ['a quota', 8, { ...v2, '/sys/fs/cgroup/a/b/cpu.max': '200000 100000\n' }, 2],
    ['a quota of a group above', 8, { ...v2, '/sys/fs/cgroup/a/cpu.max': '300000 100000\n' }, 3],
    [
      'in a container, where the mount is the group',
      8,
      { ...v2, '/sys/fs/cgroup/cpu.max': '150000 100000\n' },
      2,
    ],
    ['less than a core', 8, { ...v2, '/sys/fs/cgroup/a/b/cpu.max': '10000 100000\n' }, 1],
    ['more than the affinity', 2, { ...v2, '/sys/fs/cgroup/a/b/cpu.max': '900000 100000\n' }, 2],
    ['not a number', 2, { ...v2, '/sys/fs/cgroup/a/b/cpu.max': 'garbage\n' }, 2],
    ['a period of 0', 2, { ...v2, '/sys/fs/cgroup/a/b/cpu.max': '0 0\n' }, 2],
    ['more than there may be workers', 1_000, {}, 256],
    [
      'version 1',
      8,
      {
        ...v1,
        '/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us': '400000\n',
        '/sys/fs/cgroup/cpu/x/cpu.cfs_period_us': '100000\n',
      },
      4,
    ],
    [
      'version 1 without a quota',
      8,
      {
        ...v1,
        '/sys/fs/cgroup/cpu/x/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/x/cpu.cfs_period_us': '100000\n',
      },
      8,
    ],
  ];
  for (const [name, affinity, files, expected] of cases) {
    t.equal(
      countCores((file) => files[file], affinity),
      expected,
      name,
    );
  }
});

t.test('of this machine', async (t) => {
  const cores = countCores(readSystemFile);
  t.ok(Number.isInteger(cores) && cores >= 1 && cores <= 256, String(cores));
});
