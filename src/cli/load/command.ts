import { type Command, EXIT } from '../command.ts'
import { print } from '../terminal.ts'
import { HELP } from './help.ts'
import { readLoadOptions } from './options.ts'
import { runLoad } from './run.ts'
import { summaryOf } from './summary.ts'

/** Opens many streams, and measures what arrives. */
export const load: Command = {
  help: HELP,
  async run(args, terminal) {
    const options = readLoadOptions(args)
    const report = await runLoad(options, terminal)
    const text = options.isJson ? `${JSON.stringify(report, null, 2)}\n` : summaryOf(report)
    await print(terminal.out, text)
    return report.thresholds.every(({ isMet }) => isMet) ? EXIT.ok : EXIT.failed
  },
}
