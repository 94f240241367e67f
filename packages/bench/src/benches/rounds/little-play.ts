// The data of a federated run: a well-known set, or a little play of this bench's own, whose three roles are three clients.
import { importRoles } from "@weft/datasets";
import { inMemory, type LoadedDataset, loadDataset } from "../../support/data-sets.ts";
import type { FederatedRun } from "./federated-run.ts";

const LITTLE_PLAY = `Weaver:
The loom is wide, and it will hold us all.
Put in your thread; the pattern finds its place.
No hand alone has ever made a cloth.

Carter:
I bring the wool the river people spun,
the grey, the brown, the one that would not dye.
The road was long. The bridge was under water.
My mule has asked me what the weaving is for.

Weaver:
Then tell your mule: the weaving is for winter.
The ones who spun it, and the ones who carried,
will each go home with cloth upon their backs.

Child:
I have one thread. I found it in the grass.
It is too short. It has a knot in it.
Does it go in, or is it for the birds?

Weaver:
It goes in here, between the grey and brown.
A knot is only where two threads agreed.

Child:
And if I leave before the cloth is done?
My mother calls. I never stay for long.

Carter:
We all of us have left before the end.
The cloth is made of people who have left.

Weaver:
Your thread will stay, and so the cloth will know it.
Go when she calls. Another hand is near.

Child:
Then I will come tomorrow with another,
a red one, if the hedge will let me have it.
And I will bring my brother, who has string.

Carter:
String is for mules. But bring him all the same.
The road is long, and I could use the talk.
I'll want to hear what he would make of it.
`;

export async function federatedDataset(id: FederatedRun["dataset"], dataFolder: string | null): Promise<LoadedDataset> {
  if (id !== "little-play") return loadDataset(id, dataFolder);
  const about = {
    id,
    name: "A little play",
    description: "Three people at a loom, written for the bench of rounds",
    source: "Weft",
    license: "Apache-2.0",
    attribution: "The authors of Weft",
    citation: "",
  };
  return inMemory(await importRoles({ about, files: [{ name: `${id}.txt`, bytes: new TextEncoder().encode(LITTLE_PLAY) }] }));
}
