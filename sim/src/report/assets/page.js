'use strict';
// Draws the run that stands in the element `data`. Nothing is fetched.
(() => {
const D = JSON.parse(document.getElementById('data').textContent);
const $ = id => document.getElementById(id);
const LOOK = { said: 0, heard: 1, asks: 2, receives: 3, serves: 4, tells: 5, turns: 6, executes: 7, saves: 8, rings: 9, links: 10, marks: 11, lives: 12, fault: 13, fails: 14 };
const ROUTINE = new Set(['beat', 'beaten', 'barrier-asked', 'barrier-set']);
const HUE = { append: 'append', appended: 'append', mismatched: 'append', 'vote-asked': 'vote', voted: 'vote', succeed: 'vote', forward: 'forward', chunk: 'snapshot', 'chunk-taken': 'snapshot' };

// --- The data, by point ---------------------------------------------------------------------
const P = D.points, N = P.lane.length;
const at = new Float64Array(N);
for (let i = 0, t = 0; i < N; i++) { t += P.after[i]; at[i] = t; }
const why = P.why.map((offsets, i) => offsets.map(offset => i - offset));
const led = Array.from({ length: N }, () => []);
why.forEach((causes, i) => causes.forEach(cause => led[cause].push(i)));
const L = D.letters;
const lettersOf = Array.from({ length: N }, () => []);
const routine = new Uint8Array(N);
L.said.forEach((said, l) => {
  lettersOf[said].push(l);
  if (L.heard[l] >= 0) lettersOf[L.heard[l]].push(l);
  if (ROUTINE.has(L.name[l])) { routine[said] = 1; if (L.heard[l] >= 0) routine[L.heard[l]] = 1; }
});
for (let i = 0; i < N; i++) if (P.weight[i] === 0 || (P.look[i] === LOOK.rings && /heartbeat|tick|quorum/.test(D.words[P.words[i]]))) routine[i] = 1;
// What clients and servers say to each other: from a point to the one that goes back to it.
const frames = [];
for (let i = 0; i < N; i++) for (const cause of why[i]) {
  const asked = P.look[i] === LOOK.serves && P.look[cause] === LOOK.asks;
  const answered = P.look[i] === LOOK.receives && P.look[cause] === LOOK.serves;
  if (asked || answered) frames.push([cause, i]);
}
const words = i => D.words[P.words[i]];
const name = i => P.lane[i] < 0 ? '' : D.lanes[P.lane[i]][0];
const time = us => (us / 1e6).toFixed(us % 1000 ? 6 : 3) + ' s';
const span = us => us < 1000 ? us.toFixed(0) + ' µs' : us < 1e6 ? (us / 1000).toFixed(us < 1e4 ? 2 : 1) + ' ms' : (us / 1e6).toFixed(3) + ' s';
const count = n => n.toLocaleString('en');

// --- State ------------------------------------------------------------------------------------
const view = { from: D.window[0], to: D.window[1] };
const min = D.window[0], max = Math.max(D.window[1], min + 1000);
let selected = -1, hovered = -1, cone = D.red ? 2 : 0;
let chosen = new Set(), visible = new Uint8Array(N), inScene = [];

// --- The header and the side --------------------------------------------------------------------
document.body.classList.toggle('red', D.red);
$('verdict').textContent = D.red ? 'RED' : 'GREEN';
$('name').textContent = D.name + ' · seed ' + D.seed;
$('figures').textContent = span(D.ended) + ' simulated, shown: ' + time(min) + ' to ' + time(D.window[1]);
$('command').textContent = D.command;
$('copy').onclick = () => navigator.clipboard?.writeText(D.command).then(() => say('copied'), () => say('the browser does not let this page copy'));
const say = text => { $('copy').textContent = text; setTimeout(() => { $('copy').textContent = 'Copy'; }, 1500); };
if (D.red) {
  const first = D.violations[0];
  $('invariant').hidden = false;
  $('invariant').append(el('b', first.invariant), el('span', 'at ' + time(first.at) + ' '), first.detail);
  $('cone').hidden = false;
  $('to-failure').hidden = false;
}
$('plan').textContent = D.plan;
for (const session of D.sessions) $('session').append(new Option(session, session));
const left = D.left_out, lines = [];
if (left.routine) lines.push(count(left.routine) + ' heartbeats and the like in this window are left out');
if (left.others) lines.push(count(left.others) + ' other moments in it');
if (left.outside) lines.push(count(left.outside) + ' moments before and after it' + (left.causes ? ', of which ' + count(left.causes) + ' are causes' : ''));
$('left-out').textContent = lines.length ? lines.join('; ') + '.' : 'Nothing is left out.';

function el(tag, text, more) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return Object.assign(made, more);
}
function jump(i, prefix) {
  const button = el('button', undefined, { type: 'button', className: 'jump' + (D.red && P.cone[i] === 2 ? ' cause' : '') });
  button.append(el('i', prefix), (name(i) ? name(i) + ' ' : '') + words(i));
  button.onclick = () => { select(i, true); $('canvas').focus(); };
  return button;
}
function nearest(us) {
  let low = 0, high = N;
  while (low < high) { const middle = (low + high) >> 1; if (at[middle] < us) low = middle + 1; else high = middle; }
  return Math.min(low, N - 1);
}
function show(from, to) {
  const width = Math.max(to - from, 500);
  moveTo(from - width * .15, from + width * 1.25);
}
const faultItems = D.faults.map(fault => {
  const item = el('li');
  const button = el('button', undefined, { type: 'button', className: 'jump' + (D.red && fault.point !== null && P.cone[fault.point] === 2 ? ' cause' : '') });
  button.append(el('i', time(fault.from)), fault.index + ' ' + fault.kind + ': ' + fault.words + (fault.to ? ', ' + span(fault.to - fault.from) : ''));
  button.onclick = () => {
    show(fault.from, fault.to ?? fault.from);
    if (fault.point !== null) select(fault.point);
    $('canvas').focus();
  };
  item.append(button);
  return item;
});
$('faults').append(...faultItems);
if (!D.faults.length) $('faults').append(el('li', 'None fell.', { className: 'quiet' }));
if (D.red) {
  $('failures-section').hidden = false;
  $('failures').append(...D.violations.map(failure => {
    const item = el('li');
    const button = el('button', undefined, { type: 'button', className: 'jump cause' });
    button.append(el('i', time(failure.at)), failure.invariant + ': ' + failure.detail);
    button.onclick = () => { if (failure.point !== null) select(failure.point, true); };
    item.append(button);
    return item;
  }));
  if (D.violations_left_out) $('failures').append(el('li', 'and ' + count(D.violations_left_out) + ' more', { className: 'quiet' }));
}
const legend = [['leader', 'leader'], ['follower', 'follower'], ['candidate', 'candidate'], ['looking', 'knows no leader'], ['starting', 'starting'], ['down', 'down'],
  ['cut', 'cut off'], ['pause', 'paused'], ['append', 'entries', 'arrow'], ['vote', 'votes', 'arrow'], ['forward', 'forwarded', 'arrow'], ['beat', 'heartbeats', 'arrow'],
  ['snapshot', 'snapshots', 'arrow'], ['client', 'clients', 'arrow'], ['disk', 'saves'], ['cross', 'never came', 'cross']];
$('legend').append(...legend.map(([hue, text, shape]) => {
  const item = el('li'), sign = el('i', shape === 'cross' ? '✕' : '', { className: shape ?? '' });
  if (shape !== 'cross') sign.style.background = 'var(--' + hue + ')';
  item.append(sign, text);
  return item;
}));

// --- Lanes --------------------------------------------------------------------------------------
const AXIS = 24, STRIP = 56;
let lanes = [], height = 0;
function layout() {
  const available = $('stage').clientHeight;
  const servers = D.lanes.filter(lane => lane[1] === 'server').length, clients = D.lanes.filter(lane => lane[1] === 'client').length;
  const fixed = AXIS + STRIP + 12, units = servers * 88 + clients * 34;
  const scale = Math.min(1.9, Math.max(.62, (available - fixed) / Math.max(units, 1)));
  let y = AXIS + STRIP + 6;
  lanes = D.lanes.map(([text, kind]) => {
    if (kind === 'client' && !lanes.clients) { lanes.clients = true; }
    const high = (kind === 'server' ? 58 : kind === 'disk' ? 30 : 34) * scale;
    const lane = { text, kind, y, high, band: kind === 'server' ? Math.min(20, high * .33) : 0 };
    lane.mid = kind === 'server' ? y + lane.band + (high - lane.band) * .5 : kind === 'disk' ? y + Math.min(high * .36, 12) : y + high / 2;
    y += high;
    return lane;
  });
  height = y;
  const labels = [el('span', 'executed', { style: 'top:' + (AXIS + STRIP / 2 - 8) + 'px' })];
  lanes.forEach((lane, i) => {
    const label = el('button', lane.text, { type: 'button', className: lane.kind, title: 'Show only ' + lane.text });
    label.style.top = lane.mid - (lane.kind === 'disk' ? 9 : 12) + 'px';
    label.setAttribute('aria-pressed', chosen.has(i));
    label.onclick = () => { if (!chosen.delete(i)) chosen.add(i); layout(); filter(); };
    labels.push(label);
  });
  $('lanes').replaceChildren(...labels);
}

// --- What is shown ------------------------------------------------------------------------------
function filter() {
  const text = $('filter').value.trim().toLowerCase(), session = $('session').value;
  const about = D.sessions.indexOf(session), beats = $('beats').checked;
  let all = 0;
  for (let i = 0; i < N; i++) {
    let is = beats || !routine[i];
    if (is && text) is = words(i).toLowerCase().includes(text) || name(i).includes(text) || (P.session[i] >= 0 && D.sessions[P.session[i]].includes(text));
    if (is && session) is = P.session[i] === about || words(i).includes(session);
    if (is && chosen.size) is = P.lane[i] < 0 || chosen.has(P.lane[i]) || lettersOf[i].some(l => chosen.has(L.to[l]) || chosen.has(P.lane[L.said[l]]));
    if (P.look[i] === LOOK.fails) is = true;
    visible[i] = is ? 1 : 0;
    all += visible[i];
  }
  inScene = [];
  for (let i = 0; i < N; i++) if (visible[i]) inScene.push(i);
  $('shown').textContent = count(all) + ' of ' + count(N) + ' moments';
  draw();
}
const strong = i => !cone || P.cone[i] >= cone;
function setCone(next) {
  cone = D.red ? next : 0;
  for (const button of $('cone').querySelectorAll('button')) button.setAttribute('aria-pressed', Number(button.dataset.cone) === cone);
  draw();
}

// --- Drawing ------------------------------------------------------------------------------------
let C = {}, wide = 0, high = 0, pending = false;
function hues() {
  const style = getComputedStyle(document.documentElement);
  for (const key of ['page', 'panel', 'ink', 'quiet', 'line', 'soft', 'accent', 'red', 'green', 'amber', 'leader', 'follower', 'learner', 'candidate', 'looking', 'starting', 'down', 'append', 'vote', 'beat', 'forward', 'snapshot', 'client', 'disk', 'cut', 'pause', 'gone', 'other', 'role-ink']) C[key] = style.getPropertyValue('--' + key).trim();
}
const x = us => (us - view.from) / (view.to - view.from) * wide;
const shade = kind => /isolate|split|bridge|ring|cut$|reset/.test(kind) && kind !== 'power-cut' ? 'cut' : kind === 'pause' ? 'pause' : /crash|power|stop|lost-disk|rot|restart/.test(kind) ? 'gone' : 'other';
const yOf = i => P.lane[i] < 0 ? AXIS + STRIP + 2 : lanes[P.lane[i]].mid;
function surface(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const [w, h] = [Math.round(box.width * ratio), Math.round(box.height * ratio)];
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const g = canvas.getContext('2d');
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, box.width, box.height);
  return [g, box.width, box.height];
}
function draw() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(() => { pending = false; paint(); overview(); });
}
function paint() {
  let g;
  [g, wide, high] = surface($('canvas'));
  g.font = '11px system-ui, "DejaVu Sans", sans-serif';
  backdrop(g); axis(g); disks(g);
  const first = nearest(view.from - (view.to - view.from) * .02), last = nearest(view.to) + 1;
  arrows(g, first, last);
  strip(g); roles(g);
  points(g, first, last);
  failures(g);
  if (selected >= 0) ring(g, selected, C.accent, 7);
  if (hovered >= 0 && hovered !== selected) ring(g, hovered, C.ink, 6);
  $('canvas').dataset.selected = selected;
}
function backdrop(g) {
  lanes.forEach(lane => {
    if (lane.kind === 'client') { g.fillStyle = C.soft; g.globalAlpha = .55; g.fillRect(0, lane.y + 1, wide, lane.high - 2); g.globalAlpha = 1; }
    g.strokeStyle = C.line; g.beginPath(); g.moveTo(0, lane.mid); g.lineTo(wide, lane.mid); g.stroke();
  });
  for (const fault of D.faults) {
    const from = x(fault.from), to = x(fault.to ?? fault.from);
    if (to < -2 || from > wide + 2) continue;
    g.fillStyle = C[shade(fault.kind)];
    const all = fault.lanes.length > 1 && /ring|bridge|gossip|power-cut|rolling/.test(fault.kind);
    for (const lane of fault.lanes) {
      const here = lanes[lane], disk = here.kind === 'server' ? lanes[lane + 1] : here;
      if (fault.to) g.fillRect(from, here.y, Math.max(to - from, 2), disk.y + disk.high - here.y - (here.kind === 'server' ? 8 : 0));
      if (all) continue;
      g.fillRect(from, here.y, 1.5, here.high);
    }
    g.fillStyle = C.amber; g.fillRect(from - .5, AXIS, 1.5, high);
    g.beginPath(); g.moveTo(from - 5, AXIS); g.lineTo(from + 5, AXIS); g.lineTo(from, AXIS + 8); g.fill();
  }
}
function axis(g) {
  const steps = [1, 2, 5], want = (view.to - view.from) / Math.max(wide / 110, 1);
  let step = 1;
  for (let power = 1; ; power *= 10) { const found = steps.find(s => s * power >= want); if (found) { step = found * power; break; } }
  g.fillStyle = C.quiet; g.strokeStyle = C.line; g.textBaseline = 'middle'; g.textAlign = 'left';
  for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
    const place = x(t);
    g.globalAlpha = .5; g.beginPath(); g.moveTo(place, 16); g.lineTo(place, high); g.stroke(); g.globalAlpha = 1;
    g.fillText(step >= 1e6 ? t / 1e6 + ' s' : step >= 1000 ? (t / 1e6).toFixed(Math.max(0, 6 - Math.floor(Math.log10(step)))) + ' s' : (t / 1e6).toFixed(6) + ' s', place + 4, 10);
  }
}
const bases = (() => {
  const ends = new Map();
  for (const [, steps] of D.executed) for (let i = 0; i < steps.length; i += 3) ends.set(steps[i + 1], Math.max(ends.get(steps[i + 1]) ?? 0, steps[i + 2] + 1));
  const found = new Map(); let base = 0;
  for (const epoch of [...ends.keys()].sort((a, b) => a - b)) { found.set(epoch, base); base += ends.get(epoch); }
  return found;
})();
function strip(g) {
  g.fillStyle = C.page; g.fillRect(0, AXIS, wide, STRIP - 4);
  const seen = D.executed.map(([lane, steps]) => {
    const line = [];
    for (let i = 0; i < steps.length; i += 3) line.push([steps[i], bases.get(steps[i + 1]) + steps[i + 2], steps[i + 1] + '.' + steps[i + 2]]);
    return [lane, line];
  });
  let low = Infinity, top = -Infinity;
  for (const [, line] of seen) line.forEach(([t, z], i) => {
    const next = line[i + 1]?.[0] ?? view.to;
    if (next >= view.from && t <= view.to) { low = Math.min(low, z); top = Math.max(top, z); }
  });
  if (low > top) return;
  const y = z => AXIS + STRIP - 10 - (z - low) / Math.max(top - low, 1) * (STRIP - 18);
  const servers = seen.length;
  seen.forEach(([lane, line], k) => {
    g.strokeStyle = 'hsl(' + (210 + k * 360 / servers) % 360 + ' 60% ' + (dark() ? 68 : 42) + '%)';
    g.lineWidth = chosen.size && !chosen.has(lane) ? .6 : 1.6;
    g.beginPath();
    let open = false;
    line.forEach(([t, z], i) => {
      const next = line[i + 1]?.[0] ?? view.to;
      if (next < view.from || t > view.to) return;
      const place = Math.max(x(t), -5);
      if (open) g.lineTo(place, y(z)); else g.moveTo(place, y(z));
      g.lineTo(Math.min(x(next), wide + 5), y(z));
      open = true;
    });
    g.stroke();
  });
  g.lineWidth = 1; g.fillStyle = C.quiet; g.textAlign = 'right';
  let best = '';
  for (const [, line] of seen) for (const [t, z, text] of line) if (t <= view.to && z === top) best = text;
  g.fillText(best, wide - 4, AXIS + 7); g.textAlign = 'left';
}
const dark = () => matchMedia('(prefers-color-scheme: dark)').matches;
function roles(g) {
  for (const [lane, from, to, role, epoch] of D.roles) {
    const a = Math.max(x(from), -1), b = Math.min(x(to), wide + 1);
    if (b < 0 || a > wide) continue;
    const here = lanes[lane];
    g.fillStyle = C[role]; g.fillRect(a, here.y, Math.max(b - a, 1), here.band);
    if (role === 'down') { g.fillStyle = C.gone; g.fillRect(a, here.y, b - a, here.high); }
    if (b - a > 34) {
      const text = role === 'down' ? 'down' : role + ' ' + (role === 'starting' ? '' : '· epoch ' + epoch);
      g.save(); g.beginPath(); g.rect(a, here.y, b - a - 3, here.band); g.clip();
      g.fillStyle = role === 'leader' || role === 'down' ? (dark() && role === 'leader' ? '#0b1020' : '#ffffff') : C['role-ink'];
      g.fillText(text, a + 6, here.y + here.band / 2 + .5); g.restore();
    }
  }
}
function disks(g) {
  g.fillStyle = C.disk;
  for (const [lane, from, to] of D.saves) {
    const a = x(from), b = x(to);
    if (b < 0 || a > wide) continue;
    g.globalAlpha = cone ? .3 : .75;
    g.fillRect(a, lanes[lane].mid - 4, Math.max(b - a, 1), 8);
  }
  g.globalAlpha = 1;
}
function arrows(g, first, last) {
  const seen = [];
  for (let l = 0; l < L.said.length; l++) {
    const said = L.said[l], heard = L.heard[l];
    const end = heard >= 0 ? heard : said;
    if (end < first || said > last || !(visible[said] || (heard >= 0 && visible[heard]))) continue;
    seen.push(l);
  }
  const some = Math.min(1, Math.max(.16, 900 / Math.max(seen.length, 1)));
  const scale = wide / (view.to - view.from);
  for (const l of seen) {
    const said = L.said[l], heard = L.heard[l], hue = HUE[L.name[l]] ?? 'beat';
    const dim = cone && !(P.cone[said] >= cone && (heard < 0 || P.cone[heard] >= cone));
    const here = said === selected || heard === selected || said === hovered || (heard >= 0 && heard === hovered);
    g.globalAlpha = here ? 1 : dim ? .09 : cone ? .95 : hue === 'beat' ? some * .6 : some;
    g.strokeStyle = g.fillStyle = C[hue]; g.lineWidth = here ? 2.4 : hue === 'beat' ? 1 : 1.4;
    const a = x(at[said]), b = yOf(said), y = lanes[L.to[l]].mid;
    if (heard >= 0) {
      const to = x(at[heard]);
      line(g, a, b, to, y); head(g, a, b, to, y);
      if (L.fate[l] === 'late' || L.fate[l] === 'doubled') { g.fillStyle = C.amber; g.fillRect((a + to) / 2 - 2.5, (b + y) / 2 - 2.5, 5, 5); }
    } else {
      const part = L.fate[l] === 'unsent' ? .12 : .5;
      const to = a + Math.min(Math.max(2000 * scale, 4), 46) * part * 1.4, down = b + (y - b) * part;
      g.setLineDash([4, 3]); line(g, a, b, to, down); g.setLineDash([]);
      g.strokeStyle = C.red; g.lineWidth = 1.8; if (!dim) g.globalAlpha = L.fate[l] === 'unsent' ? .55 : 1;
      const s = L.fate[l] === 'unsent' ? 2.5 : 4;
      line(g, to - s, down - s, to + s, down + s); line(g, to - s, down + s, to + s, down - s);
    }
  }
  const few = Math.min(1, Math.max(.2, 700 / Math.max(last - first, 1)));
  for (const [cause, effect] of frames) {
    if (effect < first || cause > last || !(visible[cause] || visible[effect])) continue;
    const dim = cone && !(P.cone[cause] >= cone && P.cone[effect] >= cone);
    const here = [cause, effect].some(i => i === selected || i === hovered);
    g.globalAlpha = here ? 1 : dim ? .07 : cone ? .95 : few * .8;
    g.strokeStyle = g.fillStyle = C.client; g.lineWidth = here ? 2.2 : 1;
    const [a, b, c, d] = [x(at[cause]), yOf(cause), x(at[effect]), yOf(effect)];
    line(g, a, b, c, d); head(g, a, b, c, d);
  }
  g.globalAlpha = 1; g.lineWidth = 1;
}
function line(g, a, b, c, d) { g.beginPath(); g.moveTo(a, b); g.lineTo(c, d); g.stroke(); }
function head(g, a, b, c, d) {
  const turn = Math.atan2(d - b, c - a), s = 6;
  g.beginPath(); g.moveTo(c, d);
  g.lineTo(c - s * Math.cos(turn - .38), d - s * Math.sin(turn - .38));
  g.lineTo(c - s * Math.cos(turn + .38), d - s * Math.sin(turn + .38)); g.fill();
}
function points(g, first, last) {
  const dense = last - first > 4000;
  for (let i = first; i < last && i < N; i++) {
    if (!visible[i] || P.lane[i] < 0 || P.look[i] === LOOK.fails) continue;
    const look = P.look[i], a = x(at[i]), b = yOf(i), important = P.weight[i] >= 2;
    if (dense && !important && !(cone && P.cone[i] >= cone)) continue;
    g.globalAlpha = strong(i) ? 1 : .13;
    g.fillStyle = look === LOOK.marks ? C.green : look === LOOK.turns ? C.vote : look === LOOK.lives ? C.amber : look === LOOK.saves ? C.disk : look === LOOK.links ? C.amber :
      look === LOOK.asks || look === LOOK.receives || look === LOOK.serves ? C.client : look === LOOK.executes ? C.green : look === LOOK.rings ? C.red : look === LOOK.tells ? C.ink : C.quiet;
    g.beginPath();
    if (look === LOOK.marks || look === LOOK.turns) { const s = 5; g.moveTo(a, b - s); g.lineTo(a + s, b); g.lineTo(a, b + s); g.lineTo(a - s, b); }
    else if (look === LOOK.lives || look === LOOK.links) g.rect(a - 3.5, b - 3.5, 7, 7);
    else g.arc(a, b, important ? 3.6 : 2.3, 0, 7);
    g.fill();
  }
  g.globalAlpha = 1;
}
function failures(g) {
  for (const failure of D.violations) {
    const a = x(failure.at);
    if (a < -10 || a > wide + 10) continue;
    g.strokeStyle = g.fillStyle = C.red; g.lineWidth = 2; line(g, a, AXIS, a, high); g.lineWidth = 1;
    const lane = failure.point === null ? -1 : P.lane[failure.point], b = lane < 0 ? AXIS + STRIP + 2 : lanes[lane].mid;
    g.beginPath(); g.moveTo(a, b - 9); g.lineTo(a + 9, b); g.lineTo(a, b + 9); g.lineTo(a - 9, b); g.fill();
    g.fillStyle = C.panel; g.textAlign = 'center'; g.font = 'bold 11px system-ui'; g.fillText('!', a, b + .5);
    g.textAlign = 'left'; g.font = '11px system-ui, "DejaVu Sans", sans-serif';
  }
}
function ring(g, i, hue, size) {
  g.strokeStyle = hue; g.lineWidth = 2; g.beginPath(); g.arc(x(at[i]), yOf(i), size, 0, 7); g.stroke(); g.lineWidth = 1;
}
function overview() {
  const [g, w, h] = surface($('overview')), all = max - min, X = t => (t - min) / all * w;
  const bins = new Uint32Array(Math.ceil(w / 2) + 1); let most = 1;
  for (const i of inScene) { const bin = Math.min(bins.length - 1, Math.max(0, X(at[i]) / 2 | 0)); most = Math.max(most, ++bins[bin]); }
  for (const fault of D.faults) { g.fillStyle = C[shade(fault.kind)]; g.fillRect(X(fault.from), 0, Math.max(X(fault.to ?? fault.from) - X(fault.from), 2), h); }
  g.fillStyle = C.quiet;
  bins.forEach((n, i) => { const tall = Math.sqrt(n / most) * (h - 16); g.globalAlpha = .55; g.fillRect(i * 2, h - tall, 1.6, tall); });
  g.globalAlpha = 1;
  for (const [lane, from, to, role] of D.roles) if (role === 'leader') { g.fillStyle = 'hsl(' + (210 + lane / 2 * 360 / D.executed.length) % 360 + ' 60% ' + (dark() ? 68 : 42) + '%)'; g.fillRect(X(from), 0, X(to) - X(from), 5); }
  g.fillStyle = C.red;
  for (const failure of D.violations) g.fillRect(X(failure.at) - 1, 0, 2, h);
  const a = X(view.from), b = Math.max(X(view.to), a + 3);
  g.fillStyle = C.accent; g.globalAlpha = .13; g.fillRect(a, 0, b - a, h); g.globalAlpha = 1;
  g.strokeStyle = C.accent; g.lineWidth = 1.5; g.strokeRect(a + .75, .75, Math.max(b - a - 1.5, 1), h - 1.5);
}

// --- Moving ---------------------------------------------------------------------------------------
function moveTo(from, to) {
  const width = Math.min(Math.max(to - from, 200), max - min);
  view.from = Math.min(Math.max(from, min), max - width);
  view.to = view.from + width;
  draw();
}
function zoom(factor, middle) {
  const center = middle ?? (selected >= 0 && at[selected] >= view.from && at[selected] <= view.to ? at[selected] : (view.from + view.to) / 2);
  const part = (center - view.from) / (view.to - view.from), width = Math.min(Math.max((view.to - view.from) * factor, 200), max - min);
  moveTo(center - width * part, center + width * (1 - part));
}
function select(i, into) {
  selected = i;
  tellMoment(i);
  if (i >= 0) {
    const width = view.to - view.from;
    if (into && width > 3e6) moveTo(at[i] - 3e5, at[i] + 1e5);
    else if (at[i] < view.from + width * .03 || at[i] > view.to - width * .03) moveTo(at[i] - width / 2, at[i] + width / 2);
  }
  draw();
}
function fateOf(i) {
  return lettersOf[i].map(l => {
    const said = L.said[l], heard = L.heard[l], to = D.lanes[L.to[l]][0];
    const how = { unsent: 'It never left: there was no link, or no room in it.', lost: 'It got lost on its way.', gone: 'It never came: its link ended, or its receiver.', doubled: 'It came twice.', late: 'It came after what was sent later.' }[L.fate[l]] ?? '';
    const when = heard >= 0 ? (i === said ? to + ' hears it ' : 'It was on its way for ') + span(at[heard] - at[said]) + (i === said ? ' later.' : '.') : '';
    return (when + ' ' + how).trim();
  });
}
function tellMoment(i) {
  const box = $('moment');
  if (i < 0) { box.replaceChildren(el('h2', 'Moment'), el('p', 'Point at a moment, or step with the arrow keys.', { className: 'quiet' })); return; }
  const session = P.session[i] >= 0 ? ' · session ' + D.sessions[P.session[i]] : '';
  const parts = [el('h2', 'Moment'), el('p', time(at[i]) + (name(i) ? ' · ' + name(i) : '') + session, { className: 'when' }), el('p', words(i), { className: P.look[i] === LOOK.fails ? 'failure' : '' })];
  for (const fate of new Set(fateOf(i))) if (fate) parts.push(el('p', fate, { className: 'quiet' }));
  const listed = (title, list) => {
    if (!list.length) return;
    parts.push(el('h3', title), ...list.slice(0, 12).map(j => jump(j, (at[j] < at[i] ? '−' : '+') + span(Math.abs(at[j] - at[i])))));
    if (list.length > 12) parts.push(el('p', 'and ' + (list.length - 12) + ' more', { className: 'quiet' }));
  };
  listed('Goes back to', why[i]);
  listed(P.look[i] === LOOK.said ? 'Heard as' : 'What it changed', led[i]);
  box.replaceChildren(...parts);
}
function step(way, lane) {
  if (!inScene.length) return;
  let i;
  if (selected < 0) {
    const first = inScene.find(j => at[j] >= view.from);
    return select(way > 0 ? first ?? inScene[0] : inScene.findLast(j => at[j] <= view.to) ?? inScene.at(-1));
  }
  for (i = selected + way; i >= 0 && i < N; i += way) if (visible[i] && (lane === undefined || P.lane[i] === lane) && (!cone || P.cone[i] >= cone)) return select(i);
}
const toFailure = () => {
  const first = D.violations[0];
  if (!first) return;
  const from = first.point === null ? first.at : at[Math.max(0, first.point - 140)];
  const near = [];
  for (let i = 0; i < N; i++) if (P.cone[i] === 2 && at[i] >= first.at - 2e6) near.push(at[i]);
  const begin = near.length ? Math.min(near[0], first.at - 5000) : from;
  show(begin, first.at);
  if (first.point !== null) select(first.point);
};
function nextFault() {
  const later = D.faults.findIndex(fault => fault.from > (selected >= 0 ? at[selected] : view.from) + 1);
  const fault = D.faults[later < 0 ? 0 : later];
  if (!fault) return;
  show(fault.from, fault.to ?? fault.from + 20000);
  select(fault.point ?? nearest(fault.from));
}

// --- Hands ------------------------------------------------------------------------------------------
const canvas = $('canvas');
function under(event) {
  const box = canvas.getBoundingClientRect(), a = event.clientX - box.left, b = event.clientY - box.top;
  const first = nearest(view.from), last = Math.min(N - 1, nearest(view.to) + 1);
  let best = -1, closest = 11;
  for (let i = first; i <= last; i++) {
    if (!visible[i]) continue;
    const far = Math.hypot(x(at[i]) - a, yOf(i) - b) - (P.weight[i] >= 2 ? 2 : 0) - (strong(i) ? 1 : 0);
    if (far < closest) { closest = far; best = i; }
  }
  if (best >= 0) return best;
  closest = 5;
  const near = (i, j, c, d) => {
    const [p, q] = [x(at[i]), yOf(i)], dx = c - p, dy = d - q, t = Math.min(1, Math.max(0, ((a - p) * dx + (b - q) * dy) / (dx * dx + dy * dy || 1)));
    const far = Math.hypot(p + t * dx - a, q + t * dy - b);
    if (far < closest) { closest = far; best = j; }
  };
  for (let l = 0; l < L.said.length; l++) if (L.heard[l] >= 0 && L.said[l] <= last && L.heard[l] >= first && visible[L.said[l]]) near(L.said[l], L.said[l], x(at[L.heard[l]]), yOf(L.heard[l]));
  for (const [cause, effect] of frames) if (cause <= last && effect >= first && visible[cause]) near(cause, cause, x(at[effect]), yOf(effect));
  return best;
}
function hover(event) {
  hovered = under(event);
  const tip = $('tip');
  tip.hidden = hovered < 0;
  if (hovered >= 0) {
    tip.replaceChildren(el('b', time(at[hovered]) + (name(hovered) ? ' ' + name(hovered) : '')), el('div', words(hovered)));
    for (const fate of new Set(fateOf(hovered))) if (fate) tip.append(el('small', fate));
    for (const effect of led[hovered].filter(j => P.look[j] !== LOOK.heard).slice(0, 4)) tip.append(el('small', '⇒ ' + words(effect)));
    const box = canvas.getBoundingClientRect(), a = event.clientX - box.left, b = event.clientY - box.top;
    tip.style.left = Math.max(4, Math.min(a + 14, box.width - tip.offsetWidth - 6)) + 'px';
    tip.style.top = (b + tip.offsetHeight + 26 > box.height ? Math.max(4, b - tip.offsetHeight - 12) : b + 16) + 'px';
  }
  draw();
}
let drag = null;
canvas.onpointerdown = event => { drag = { x: event.clientX, from: view.from, to: view.to, moved: false }; canvas.setPointerCapture(event.pointerId); };
canvas.onpointermove = event => {
  if (!drag) return hover(event);
  const by = (event.clientX - drag.x) / wide * (drag.to - drag.from);
  if (Math.abs(event.clientX - drag.x) > 3) drag.moved = true;
  if (drag.moved) moveTo(drag.from - by, drag.to - by);
};
canvas.onpointerup = event => { if (drag && !drag.moved) select(under(event)); drag = null; };
canvas.onpointerleave = () => { hovered = -1; $('tip').hidden = true; draw(); };
canvas.addEventListener('wheel', event => {
  event.preventDefault();
  const box = canvas.getBoundingClientRect(), width = view.to - view.from;
  if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) moveTo(view.from + (event.deltaX || event.deltaY) / 900 * width, view.to + (event.deltaX || event.deltaY) / 900 * width);
  else zoom(Math.exp(event.deltaY / 420), view.from + (event.clientX - box.left) / box.width * width);
}, { passive: false });
const scrub = event => {
  if (event.type === 'pointermove' && !event.buttons) return;
  const box = $('overview').getBoundingClientRect(), t = min + (event.clientX - box.left) / box.width * (max - min), half = (view.to - view.from) / 2;
  moveTo(t - half, t + half);
};
$('overview').onpointerdown = $('overview').onpointermove = scrub;
for (const id of ['filter', 'session', 'beats']) $(id).addEventListener('input', filter);
for (const button of $('cone').querySelectorAll('button')) button.onclick = () => setCone(Number(button.dataset.cone));
$('in').onclick = () => zoom(.5);
$('out').onclick = () => zoom(2);
$('fit').onclick = () => moveTo(min, max);
$('to-failure').onclick = toFailure;
$('help-button').onclick = () => $('help').showModal();
const width = () => view.to - view.from;
const KEYS = {
  ArrowRight: () => step(1), ArrowLeft: () => step(-1), j: () => step(1), k: () => step(-1),
  ArrowDown: () => step(1, selected >= 0 ? P.lane[selected] : undefined), ArrowUp: () => step(-1, selected >= 0 ? P.lane[selected] : undefined),
  c: () => { if (selected >= 0 && why[selected].length) select(why[selected].at(-1)); }, e: () => { if (selected >= 0 && led[selected].length) select(led[selected][0]); },
  '+': () => zoom(.5), '=': () => zoom(.5), '-': () => zoom(2), 0: () => moveTo(min, max),
  ',': () => moveTo(view.from - width() / 4, view.to - width() / 4), '.': () => moveTo(view.from + width() / 4, view.to + width() / 4),
  f: nextFault, v: toFailure, x: () => setCone({ 2: 1, 1: 0, 0: 2 }[cone]), '/': () => $('filter').focus(), '?': () => $('help').showModal(),
  Escape: () => { $('filter').value = ''; $('session').value = ''; chosen.clear(); layout(); filter(); select(-1); canvas.focus(); },
};
addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || $('help').open) return;
  const typing = event.target.matches('input[type=search], select');
  if (typing && event.key !== 'Escape') return;
  if (event.target.matches('button, summary, label') && [' ', 'Enter'].includes(event.key)) return;
  const act = KEYS[event.key];
  if (act) { event.preventDefault(); act(); }
});
addEventListener('resize', () => { layout(); draw(); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { hues(); draw(); });

// --- Begin ------------------------------------------------------------------------------------------
hues();
layout();
// Where little is known to lead to the violation, fading the rest would hide what there is.
setCone(P.cone.filter(c => c === 2).length < 12 ? 0 : cone);
filter();
if (D.red) toFailure();
document.body.dataset.ready = 'yes';
})();
