// BullMQ app for the benchmarks. `fill URL N` queues N jobs with addBulk; `work URL CONCURRENCY` runs them until killed.
const { Queue, Worker } = require('bullmq');
const Redis = require('ioredis');

const [verb, url, number] = process.argv.slice(2);
const connection = () => new Redis(url, { maxRetriesPerRequest: null });

async function fill(jobs) {
  const queue = new Queue('side', { connection: connection() });
  for (let start = 0; start < jobs; start += 1000) {
    const some = Math.min(1000, jobs - start);
    await queue.addBulk(Array.from({ length: some }, () => ({ name: 'noop', data: {} })));
  }
  await queue.close();
  process.exit(0);
}

function work(concurrency) {
  // BullMQ keeps finished jobs by default.
  const worker = new Worker('side', async () => null, { connection: connection(), concurrency });
  process.on('SIGTERM', () => worker.close().then(() => process.exit(0)));
}

if (verb === 'fill') fill(Number(number)); else work(Number(number));
