// `npm run build`: packages, addon and JavaScript, each only where something changed.
import { build, run } from './steps.mjs';

await run(build);
