// The process in which a configuration file is compiled: it answers once and ends, and its memory goes with it.
// In: a file's name. Out: a CompiledSource.

import { compileHere } from './compile-source.js';

const [file = ''] = process.argv.slice(2);
const compiled = await compileHere({ file });
// A large snapshot takes a while to cross: only then is it over.
process.send?.(compiled, () => process.disconnect());
