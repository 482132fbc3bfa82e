// The chart of the README: horizontal bars of CPU µs per request, a group per scenario, a bar per peer. Results in, SVG out.

import { SCENARIOS, type ScenarioName } from '../options.js';
import { cpuPoints, PRIME, type Results } from './results.js';
import { median } from './statistics.js';
import { SUBJECT } from './targets.js';

/** One bar. */
export interface Bar {
  readonly label: string;
  /** In microseconds. */
  readonly value: number;
  readonly isSubject: boolean;
}

/** The bars of one scenario. */
export interface Group {
  readonly title: string;
  readonly bars: readonly Bar[];
}

/** The scenarios that are drawn: of each kind the telling ones, so that the chart can be taken in. */
const TITLES: Partial<Record<ScenarioName, string>> = {
  'h1-1k-32': 'HTTP/1.1, 1 KB, 32 connections',
  'h1-1k-256': 'HTTP/1.1, 1 KB, 256 connections',
  'h1-16k-32': 'HTTP/1.1, 16 KB, 32 connections',
  'h1-16k-256': 'HTTP/1.1, 16 KB, 256 connections',
  'tls-1k-32': 'TLS 1.3 termination, 1 KB, 32 connections',
  'h2-h1-32x1': 'HTTP/2 in, HTTP/1.1 out, 1 KB, 32 connections',
  'grpc-4x8': 'gRPC unary, 4 connections of 8 streams',
  'grpc-32x1': 'gRPC unary, 32 connections',
  'tcp-1k-32': 'TCP relay, 1 KB, 32 connections',
  'mtls-pair-32': 'mutual-TLS pair (two proxies), 1 KB, 32 connections; h2: HTTP/2 in between',
};

/** How many groups a whole run has. */
export const GROUPS = Object.keys(TITLES).length;

const WIDTH = 760;
const LEFT = 90;
const RIGHT = 60;
const BAR = 15;
const ROW = 19;
const TITLE = 26;
const TOP = 46;

/** The groups of a result: medians over the rounds, second copies left out. */
export function chartGroups(results: Results): Group[] {
  return SCENARIOS.flatMap((scenario) => {
    const title = TITLES[scenario];
    if (title === undefined) return [];
    const bars = results.throughput
      .filter((one) => one.scenario === scenario && !one.peer.endsWith(PRIME))
      .flatMap(({ peer, samples }) => {
        const value = median(cpuPoints(samples).map((point) => point.value));
        return value === undefined ? [] : [{ label: peer, value, isSubject: peer.startsWith(SUBJECT) }];
      });
    return bars.length === 0 ? [] : [{ title, bars }];
  });
}

/** Text made safe inside SVG elements and attributes; characters that XML forbids are dropped. */
export function escapeXml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return [...text]
    .filter(isXml)
    .map((character) => names[character] ?? character)
    .join('');
}

/** The characters of XML 1.0, section 2.2. */
function isXml(character: string): boolean {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return code === 0x9 || code === 0xa || code === 0xd;
  return !(code >= 0xd800 && code <= 0xdfff) && code !== 0xfffe && code !== 0xffff;
}

/** Draws the groups. Colours read on light and dark pages alike. */
export function renderChart(groups: readonly Group[], caption: string): string {
  const largest = Math.max(1, ...groups.flatMap((group) => group.bars.map((bar) => bar.value)));
  const scale = (WIDTH - LEFT - RIGHT) / largest;
  const body: string[] = [];
  let y = TOP;
  for (const group of groups) {
    body.push(`<text class="t" x="8" y="${y + 16}">${escapeXml(group.title)}</text>`);
    y += TITLE;
    for (const bar of group.bars) {
      body.push(...drawBar(bar, { y, width: Math.max(1, bar.value * scale) }));
      y += ROW;
    }
    y += 6;
  }
  const height = y + 8;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="CPU per request">
<style>text{font:12px system-ui,sans-serif;fill:#57606a}.t{font-weight:600}.h{font-size:14px;font-weight:600}.p{fill:#9aa4b2}.s{fill:#2f7de1}
@media(prefers-color-scheme:dark){text{fill:#c3ccd6}.p{fill:#6b7684}}</style>
<text class="h" x="8" y="18">CPU per request, µs (less is better)</text>
<text x="8" y="36">${escapeXml(caption)}</text>
${body.join('\n')}
</svg>
`;
}

function drawBar(bar: Bar, at: { y: number; width: number }): string[] {
  const kind = bar.isSubject ? 's' : 'p';
  const base = at.y + 12;
  return [
    `<text x="${LEFT - 6}" y="${base}" text-anchor="end">${escapeXml(bar.label)}</text>`,
    `<rect class="${kind}" x="${LEFT}" y="${at.y}" width="${at.width.toFixed(1)}" height="${BAR}" rx="2"/>`,
    `<text x="${(LEFT + at.width + 5).toFixed(1)}" y="${base}">${bar.value.toFixed(1)}</text>`,
  ];
}
