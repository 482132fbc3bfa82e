// One line on standard error that says what runs now; on a terminal it is overwritten, elsewhere written once per step.

const started = performance.now();
let open = false;
let silent = false;

/** Shows the current step. */
export function progress(text: string): void {
  if (silent) return;
  const seconds = Math.round((performance.now() - started) / 1000);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  if (process.stderr.isTTY) {
    process.stderr.write(`\r\u001b[K${clock}  ${text}`);
    open = true;
  } else {
    process.stderr.write(`${clock}  ${text}\n`);
  }
}

/** Ends the line, so that other output starts on a fresh one. */
export function endProgress(): void {
  if (open) process.stderr.write('\r\u001b[K');
  open = false;
}

/** Shows no further steps: what follows an interruption is of no interest. */
export function silenceProgress(): void {
  silent = true;
}

/** A bar of `width` characters, `done` of 0 to 1 filled. */
export function bar(done: number, width = 20): string {
  const filled = Math.round(Math.min(1, Math.max(0, done)) * width);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}
