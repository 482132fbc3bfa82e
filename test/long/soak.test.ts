// The soak in short: the same load and the same promises.

import t from 'tap';
import { checkSoak } from './check.js';

t.test('8 s of mixed load with reloads and new certificates', (t) => checkSoak(t, 8));
