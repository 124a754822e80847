// BullMQ's own basic flows, with its scripts as they come from the registry, against a server on
// the port that is the only argument. Prints one line per check: `ok NAME` or `failed NAME: why`.

const { Queue, Worker, QueueEvents, FlowProducer } = require('bullmq');

const connection = { host: '127.0.0.1', port: Number(process.argv[2]) };
const NAME = 'jobs';
// Longer than anything here takes, also on a busy machine.
const WAIT_MS = 40000;

// Until the end is reached: node also ends when nothing is left that could happen.
process.exitCode = 1;
setTimeout(() => {
  console.log('failed bullmq: not over in time');
  process.exit(1);
}, 2 * WAIT_MS).unref();

async function check(name, run) {
  try {
    const found = JSON.stringify(await run());
    console.log(found === 'true' ? `ok bullmq ${name}` : `failed bullmq ${name}: ${found}`);
  } catch (error) {
    console.log(`failed bullmq ${name}: ${error.stack}`);
  }
}

async function until(condition) {
  const end = Date.now() + WAIT_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('waited in vain');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

async function work(job) {
  switch (job.name) {
    case 'double':
      return job.data * 2;
    case 'fail':
      throw new Error(`attempt ${job.attemptsMade}`);
    case 'sum':
      return Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0);
    case 'progress':
      await job.updateProgress(50);
      await job.log('half');
      return 'done';
    default:
      throw new Error(`no such job: ${job.name}`);
  }
}

async function main() {
  const queue = new Queue(NAME, { connection });
  const events = new QueueEvents(NAME, { connection });
  await events.waitUntilReady();
  const result = (job) => job.waitUntilFinished(events, WAIT_MS);
  const complaints = [];
  let worker = new Worker(NAME, work, { connection, concurrency: 5 });
  worker.on('error', (error) => complaints.push(error.message));
  await worker.waitUntilReady();

  await check('added at once', async () => {
    const numbers = [...Array(50).keys()];
    const jobs = await queue.addBulk(numbers.map((data) => ({ name: 'double', data })));
    const results = await Promise.all(jobs.map(result));
    return results.every((value, index) => value === 2 * index);
  });
  await check('delayed', async () => {
    const before = Date.now();
    const value = await result(await queue.add('double', 4, { delay: 300 }));
    return value === 8 && Date.now() - before >= 300;
  });
  await check('retried, and failed in the end', async () => {
    const job = await queue.add('fail', 0, {
      attempts: 3,
      backoff: { type: 'fixed', delay: 50 },
    });
    const reason = await result(job).catch((error) => error.message);
    const failed = await queue.getFailed();
    return reason === 'attempt 2' && failed.length === 1 && failed[0].attemptsMade === 3;
  });
  await check('retried by hand', async () => {
    const [job] = await queue.getFailed();
    await job.retry();
    return until(async () => (await queue.getFailed())[0]?.attemptsMade === 4);
  });
  await check('children before their parent', async () => {
    const flow = new FlowProducer({ connection });
    const children = [1, 2, 3].map((data) => ({ name: 'double', queueName: NAME, data }));
    const tree = await flow.add({ name: 'sum', queueName: NAME, children });
    const value = await result(tree.job);
    await flow.close();
    return value === 12;
  });
  await check('progress and logs', async () => {
    const job = await queue.add('progress', 0);
    const seen = new Promise((resolve) => events.once('progress', (told) => resolve(told.data)));
    const value = await result(job);
    const { logs } = await queue.getJobLogs(job.id);
    return value === 'done' && (await seen) === 50 && logs[0] === 'half';
  });
  await check('repeated', async () => {
    const before = await queue.getCompletedCount();
    await queue.upsertJobScheduler('again', { every: 100, limit: 3 }, { name: 'double', data: 1 });
    return until(async () => (await queue.getCompletedCount()) >= before + 3);
  });
  await check('the worker stops', async () => {
    await worker.close();
    await queue.add('double', 1);
    return (await queue.getWaitingCount()) === 1;
  });
  await check('priorities', async () => {
    await queue.drain();
    const order = [];
    for (const priority of [3, 1, 2]) await queue.add('double', priority, { priority });
    worker = new Worker(
      NAME,
      async (job) => {
        order.push(job.data);
      },
      { connection },
    );
    worker.on('error', (error) => complaints.push(error.message));
    await until(() => order.length === 3);
    return order.join() === '1,2,3';
  });
  await check('paused', async () => {
    await queue.pause();
    const job = await queue.add('double', 9);
    const states = [await queue.isPaused(), await job.getState()];
    await queue.resume();
    await until(() => job.isCompleted());
    return states[0] && ['waiting', 'paused'].includes(states[1]) ? true : states;
  });
  await check('obliterated', async () => {
    await worker.close();
    await queue.obliterate({ force: true });
    return (await queue.getJobs()).length === 0;
  });
  await check('no complaints', async () => (complaints.length === 0 ? true : complaints));
  await events.close();
  await queue.close();
  process.exitCode = 0;
}

main().catch((error) => {
  console.log(`failed bullmq: ${error.stack}`);
  process.exit(1);
});
