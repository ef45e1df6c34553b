/** The parent process. This process ends when the parent disconnects. */
export const parentPort = {
  report(message) {
    if (process.connected) process.send(message)
  },
}

process.on('disconnect', () => process.exit())
