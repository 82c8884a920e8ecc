import process from 'node:process';

// Loaded into a child whose own code does not watch its IPC channel (`node --import`): when the channel closes, the
// supervisor is gone and the child ends as on SIGTERM, so that its own clean-up runs.

/** A child that has not ended by then ends by force: the settler's batches end within 8 s. */
const graceMs = 10_000;

process.on('disconnect', () => {
  process.kill(process.pid, 'SIGTERM');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref();
});

// the listener above would keep the child alive for as long as the supervisor is: that is the child's business
process.channel?.unref();
