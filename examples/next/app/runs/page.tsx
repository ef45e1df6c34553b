import { Answer } from './answer'

export default function Page() {
  return (
    <main>
      <h1>Answers that outlive their tab</h1>
      <Answer />
    </main>
  )
}
