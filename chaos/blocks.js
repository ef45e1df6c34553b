/** Returns a function that reads bytes, and calls `dispatch` with the fields of each complete block. Only for ASCII. */
export function dispatchBlocks(dispatch) {
  let rest = ''
  return (bytes) => {
    const text = bytes.toString('latin1')
    // A large event is searched once, when it may be complete.
    if (!text.includes('\n') && !rest.endsWith('\n')) {
      rest += text
      return
    }
    const blocks = (rest + text).split('\n\n')
    rest = blocks.pop() ?? ''
    for (const block of blocks) dispatch(fieldsOf(block))
  }
}

function fieldsOf(block) {
  const fields = block.split('\n').map((line) => {
    const colon = line.indexOf(': ')
    return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 2)]
  })
  return Object.fromEntries(fields)
}
