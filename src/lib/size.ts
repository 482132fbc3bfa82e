// Sizes as people write them (`64KiB`, `256MiB`, `2GiB`) to whole bytes, and back.

/** Bytes of a mebibyte. */
export const MIB = 1 << 20;
const UNITS = { GiB: 1 << 30, MiB: MIB, KiB: 1 << 10 } as const;

/** The largest size that is accepted: 16 TiB. */
export const MAX_SIZE = 2 ** 44;

/** Bytes of a size such as `256MiB`, or undefined where it is none or larger than the bound. */
export function parseSize(text: string): number | undefined {
  const found = /^(\d{1,10})(KiB|MiB|GiB)$/.exec(text);
  if (found === null) return undefined;
  const bytes = Number(found[1]) * UNITS[found[2] as keyof typeof UNITS];
  return bytes <= MAX_SIZE ? bytes : undefined;
}

/** The shortest way to write a number of bytes, such as `64MiB` for 67108864. */
export function toSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB'] as const) {
    if (bytes !== 0 && bytes % UNITS[unit] === 0) return `${bytes / UNITS[unit]}${unit}`;
  }
  return `${bytes}B`;
}
