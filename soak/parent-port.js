/** The process that has started this one, which ends with it. */
export const parentPort = {
  report(message) {
    if (process.connected) process.send(message)
  },
}

process.on('disconnect', () => process.exit())
