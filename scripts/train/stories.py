"""Stories. Each plot moves its people and things through the world and tells what happens.

Slots: h hero, f friend, g grown-up, o thing, p q r places, w weather.
"""
import words as W
from world import Place, Story, a_child, a_thing, an_animal, some_places


def begin(s):
    """Who, where, and what the day is like."""
    s.either("Once upon a time, [there was|there lived] {h.intro}.",
             "Once upon a time, [there was|there lived] {h.intro}.",
             "Once upon a time there was {h.intro}.",
             "Once upon a time, in a [small|quiet|faraway] [village|land|valley], [there lived|lived] {h.intro}.",
             "Once upon a time, {h.a} lived [near|close to|not far from] {p.the}.",
             "One {w} [day|morning|afternoon], {h.a} [woke up early|looked out of the window|went out to play].",
             "Long ago, [there was|there lived] {h.intro}.", "There once was {h.intro}.",
             "{h.name} was a {h.trait} {h.kind} who lived near {p.the}.")
    if s.animals:
        s.say("{h.name} lived in {h.home}.", 0.6)
    else:
        s.say("{h.He} {h.likes}[| and everyone in the village knew {h.him}].", 0.6)
    s.say("[{weather}.|It was a {w} day.|The day was {w}.]", 0.5)
    s.ask("[Who is the story about?|What is the name of the {h.kind}?|Who is the hero of the story?]",
          "The story is about {h.intro}.")


def meet(s):
    s.say("{h.name} had a [good |dear |best |]friend, {f.a}.")
    s.say("They [did everything together|played together every day|had known each other for years|were never apart for long].", 0.6)
    s.ask("Who [is|was] {h.name}'s friend?", "{h.name}'s friend was {f.a}.")


def go(s, place, who="h"):
    """Travel to a place, and perhaps see something on the way."""
    s.set(to=place, who=s.slots[who])
    s.either("{who.name} [went|walked|ran|hurried|set off] {to.to}.",
             "So {who.name} [went|walked|ran|set off] {to.to}.",
             "{who.name} took the [long|short|narrow|old] [path|road] {to.to}.")
    s.say("On the way, {who.he} [saw|met|passed] [a butterfly with yellow wings|a snail on a leaf|a robin with a worm"
          "|two ladybugs on a stem|a line of busy ants|a sleepy cat on a wall|a man with a wheelbarrow"
          "|a spider spinning its web|a bee on a blue flower|an old woman with a basket].", 0.35)
    s.say("[{to.at}, there were|{who.He} saw] {to.sight}.", 0.35)


def feel_sad(s, who="h"):
    s.set(who=s.slots[who])
    s.either("{who.name} was very sad.", "{who.name} began to cry.", "A tear rolled down {who.name}'s cheek.",
             "{who.name} felt a lump in {who.his} throat.", "{who.name} sat down and hung {who.his} head.",
             "{who.name} felt [sad|lonely|unhappy] and did not know what to do.")


def feel_glad(s, who="h"):
    s.set(who=s.slots[who])
    s.either("{who.name} was so happy that {who.he} {who.joy}.", "{who.name} {who.joy} with joy.",
             "{who.name} smiled from ear to ear.", "{who.name} had never been so happy.",
             "{who.name}'s eyes were shining.", "\"hooray!\" [cried|shouted] {who.name}.")


def end(s, lesson):
    s.either("From that day on, " + lesson, "After that, " + lesson, "And " + lesson,
             "{h.name} [learned|knew now] that it is [good|best] to [be kind|help each other|keep trying|be patient].",
             "That night, {h.name} [fell asleep with a smile|dreamed of {p.the}|slept very well].",
             "When the stars came out, {h.name} went home, tired and happy.",
             "It had been a [wonderful|long|good|fine] day, and {h.name} would never forget it.")
    s.say("[The end.|They lived happily ever after.|And that is how the story ends.]", 0.3)


def ask_help(s):
    """The friend sees that something is wrong."""
    s.either("\"what is wrong, {h.name}?\" asked {f.name}.", "\"why are you so sad?\" asked {f.name}.",
             "{f.name} came by and saw {h.him}. \"what happened?\" {f.he} asked.",
             "\"are you all right?\" asked {f.name}, and sat down next to {h.him}.")


def lost(s):
    """A thing is left in one place, looked for in another, and found where it was."""
    s.set(spot=s.rng.choice(s.p.spots), wrong=s.rng.choice(s.q.spots))
    s.say("{h.name} had {o.a}. [{h.He} took it everywhere.|It was {h.his} favorite thing in the world.|{h.He} loved it very much.]")
    meet(s)
    s.part()
    s.say("One {w} [day|morning], {h.name} [played|was playing] {p.at} with the {o}.")
    s.say("[Then {h.he} got hungry and|After a while {h.he} felt tired and|When the bells rang, {h.he}] went {q.to} to [eat|rest|meet {f.name}].")
    s.say("[Suddenly|There], {h.he} [noticed|saw] that {o.the} was gone!")
    feel_sad(s)
    ask_help(s)
    s.say("\"I lost my {o.full},\" said {h.name}. [\"I cannot find it anywhere.\"|\"I do not know where it is.\"|\"I had it this morning.\"]")
    s.say("\"[do not worry|do not cry|cheer up]. We will [find it|look for it] together,\" said {f.name}.")
    s.part()
    s.say("First, they looked {wrong}, but [the {o} was not there|there was no {o} there|they only found a [leaf|stone|feather|beetle]].")
    s.say("They [asked {g}|went to ask {g}], but {ghe} [had not seen it|shook {ghis} head].", 0.5)
    s.say("Then {f.name} had an idea. \"where did you play [today|before|first]?\" {f.he} asked.")
    s.say("\"{p.at}!\" said {h.name}. So they [ran|hurried|went] back {p.to}.")
    s.say("They looked {spot}, and there was {o.the}!")
    feel_glad(s)
    s.say("\"thank you, {f.name},\" said {h.name}. \"You are a [good|true|great] friend.\"")
    s.ask("What did {h.name} lose?", "{h.name} lost {o.a}.")
    s.ask("Where did they find the {o}?", "They found {o.the} {spot} {p.at}.")
    s.ask("Who helped {h.name}?", "{f.name} helped {h.name} look for the {o}.")
    s.slots["topic"] = "a lost {o.full}"
    end(s, "{h.name} always [kept an eye on|looked after|took good care of] {h.his} {o}.")


def share(s):
    """One has food, the other none; later the kindness comes back."""
    _, one, many = s.rng.choice(W.FOODS)
    n = s.rng.randint(2, 4)
    s.set(one=one, many=many, n=W.NUMBERS[n], half=W.NUMBERS[n // 2], keep=W.NUMBERS[n - n // 2])
    s.say("One [day|morning], {g} gave {h.him} {n} [sweet|big|fresh|warm|tasty] {many}[ in a little basket|].")
    go(s, s.p)
    s.say("{h.He} [sat down|found a nice place] to eat.")
    s.part()
    s.say("Just then, {h.he} saw {f.a}. {f.name} [looked hungry|was sitting all alone|looked very sad].")
    s.say("\"[hello|good day|hi], {f.name}. what is the matter?\" asked {h.name}.")
    s.say("\"I [am so hungry|have had nothing to eat today|lost my lunch],\" said {f.name}[ in a small voice|].")
    s.say("{h.name} [thought for a moment|looked at the {many}|thought about it]. {h.He} [wanted to eat them all|was hungry too], but {h.he} [felt sorry for {f.him}|knew what to do].")
    s.say("\"Here, take {half} of my {many},\" {h.he} said. [Now {h.name} had {keep} left.|So {h.name} kept {keep}.]")
    feel_glad(s, "f")
    s.say("They ate together and [talked about {q.the}|told each other jokes|watched the clouds go by|laughed a lot].")
    s.part()
    s.say("[The next day|A week later|Some days later], {h.name} was {q.at} when it [began to rain|got very cold|began to grow dark].")
    s.say("{h.He} had [no coat|nothing to keep {h.him} warm|no umbrella] and was [cold|shivering|far from home].")
    s.say("Then {f.name} came with {o.a}. \"you shared with me. Now I will [help|share with] you,\" said {f.name}.")
    feel_glad(s)
    s.ask("What did {h.name} share?", "{h.name} shared {h.his} {many} with {f.name}.")
    s.ask("How many {many} did {h.name} have at first?", "{h.name} had {n} {many} at first.")
    s.ask("Who was hungry?", "{f.name} was hungry.")
    s.slots["topic"] = "sharing"
    end(s, "{h.name} and {f.name} [shared everything|were the best of friends|always shared].")


def rescue(s):
    """An animal is in trouble; a tool from elsewhere helps; the animal pays it back."""
    f = an_animal(s.rng, taken=(s.h.name, s.h.kind))
    where, tool, how = s.rng.choice([
        ("stuck in a tall tree", "ladder", "climbed up and carried {f.him} down"),
        ("caught in a net", "pair of scissors", "cut the net, one string at a time"),
        ("stuck in deep mud", "rope", "pulled and pulled until {f.he} was free"),
        ("down in a deep hole", "rope", "let the rope down and pulled {f.him} up"),
        ("shut in an old shed", "key", "turned the key and opened the door"),
        ("cold and wet under a bush", "blanket", "wrapped {f.him} up until {f.he} was warm"),
        ("lost in the dark", "lantern", "held up the light and led {f.him} home"),
        ("on a rock with water all around", "boat", "rowed out and brought {f.him} to the shore")])
    s.set(f=f, where=where, tool=tool)
    s.set(how=how.format(**s.slots))
    s.say("One {w} [day|morning|evening], {h.he} was walking {p.at} when {h.he} heard a [small|sad|strange|soft] [voice|sound|cry].")
    s.say("\"[help|help me|oh, help], please!\" [it said|said the voice|someone called].")
    s.say("It was {f.a}. [{f.He}|The poor {f.kind}] was {where}!")
    s.say("\"[do not be afraid|hold on|stay calm],\" said {h.name}. \"I will help you.\"")
    s.part()
    s.say("{h.name} [tried|did {h.his} best], but {h.he} [was not strong enough|could not do it alone|needed something to help]. \"I need a {tool},\" {h.he} thought.")
    go(s, s.q)
    s.say("There {h.he} [found|met] {g}. \"may I [borrow|take|use] your {tool}?\" asked {h.name}. \"{f.name} the {f.kind} is {where}!\"")
    s.say("\"[of course|yes, take it], but [hurry|be careful|bring it back],\" said {g}.")
    s.say("{h.name} ran back {p.to} with the {tool}. {h.He} {how}.")
    feel_glad(s, "f")
    s.say("\"thank you! I will never forget this,\" said {f.name}.")
    s.part()
    s.say("[Later that week|Some days later|One day], {h.name} [lost {h.his} way|got lost] {r.at}. [It was getting dark.|{h.He} was afraid.]")
    s.say("Then {f.name} [came|appeared]. \"you helped me, and now I will [help you|show you the way],\" {f.he} said.")
    s.say("Together they [walked|went|found the way] home.")
    s.ask("What was wrong with {f.name}?", "{f.name} the {f.kind} was {where}.")
    s.ask("What did {h.name} use to help?", "{h.name} used a {tool} from {g}.")
    s.slots["topic"] = "a rescue"
    end(s, "{h.name} and {f.name} were friends.")


def earn(s):
    """The hero works for coins, one job after another, until there are enough."""
    jobs = s.rng.sample([("sweep the floor", "swept the floor"), ("water the flowers", "watered the flowers"),
                         ("carry some wood", "carried the wood"), ("feed the hens", "fed the hens"),
                         ("wash the cups", "washed all the cups"), ("pick apples", "picked apples"),
                         ("paint the fence", "painted the fence"), ("rake the leaves", "raked the leaves")], 2)
    a, b = s.rng.randint(1, 5), s.rng.randint(1, 5)
    coins = lambda n: W.NUMBERS[n] + (" coin" if n == 1 else " coins")
    g2 = s.rng.choice([g for g, _ in W.GROWNUPS if g != s.g])
    s.set(a=coins(a), b=coins(b), sum=coins(a + b), job=jobs[0][0], did=jobs[0][1], job2=jobs[1][0], did2=jobs[1][1], g2=g2)
    s.say("One day, {h.he} saw {o.a} in [a shop|the toy shop|a shop window]. \"[I wish I had|how I would love] that {o}!\" {h.he} [said|thought].")
    s.say("But the {o} cost {sum}, and {h.name} had [no money|no coins|not a single coin].")
    s.say("\"[then I will work for it|I will earn them|I will find some work],\" {h.he} said.")
    s.part()
    s.say("First, {h.name} went to {g}. \"can I help you?\" {h.he} asked. \"yes, you can {job},\" said {g}.")
    s.say("{h.name} {did}. It took [an hour|all morning|a long time], and {g} gave {h.him} {a}.")
    s.say("[\"that is not enough yet,\" thought {h.name}.|It was a good start.]")
    s.say("Then {h.he} went to {g2}. {h.He} {did2}, [and got|and was given] {b}. Now {h.he} had {sum}!")
    s.part()
    s.say("{h.name} [ran|hurried] to the shop[ as fast as {h.he} could|]. \"here are {sum},\" {h.he} said. \"may I have {o.the}, please?\"")
    s.say("The shopkeeper [smiled and|nodded and|put it in a bag and] gave {h.him} the {o}.")
    feel_glad(s)
    s.set(friend=s.f.name if s.h.human else s.f.name + " the " + s.f.kind)
    s.say("{h.He} [showed it to {friend}|let {friend} play with it] {p.at}.")
    s.ask("What did {h.name} want to buy?", "{h.name} wanted to buy {o.a}.")
    s.ask("How many coins did the {o} cost?", "The {o} cost {sum}.")
    s.ask("What [work did {h.name} do|did {h.name} do for {g}]?", "{h.name} {did} for {g}.")
    s.slots["topic"] = "working hard"
    end(s, "{h.name} took good care of the {o}, because {h.he} had worked for it.")


def way_home(s):
    """Out along three places, and back again in the other order."""
    s.say("One {w} morning, {h.he} wanted to [see the world|find something new|have an adventure].")
    s.say("First {h.he} walked {p.to}. Then {h.he} went on {q.to}. At last {h.he} came {r.to}.")
    s.say("[{r.at}, there were|There {h.he} saw] {r.sight}. [It was beautiful.|It was a lovely sight.|{h.name} stayed for a long time.]")
    s.part()
    s.say("But soon [the sun went down|it began to grow dark|evening came], and {h.name} did not know the way home.")
    feel_sad(s)
    s.set(f=an_animal(s.rng, taken=(s.h.name, s.h.kind), kind=s.rng.choice(["owl", "sparrow", "badger", "hedgehog", "fox", "turtle"])))
    s.say("A wise old {f.kind} [heard {h.him}|was sitting close by|came out of the dark]. {f.His} name was {f.name}. \"why are you crying?\" asked the {f.kind}.")
    s.say("\"I am lost,\" said {h.name}. \"I want to go home.\"")
    s.say("\"[think|tell me],\" said {f.name}. \"where were you before you came here?\"")
    s.say("\"I was {q.at}, and before that I was {p.at},\" said {h.name}.")
    s.say("\"then [that is your way home|we will go back the same way],\" said {f.name}.")
    s.part()
    s.say("So they went back {q.to}, and then {p.to}. [The moon lit the path.|The stars were bright above them.|{f.name} hummed a little song.]")
    s.say("And there, [at last|not far away], {h.name} saw {h.his} own [home|door|front door].")
    feel_glad(s)
    s.say("\"[thank you|thank you so much], {f.name}!\" {h.he} said. \"[Now I know the way.|You are very wise.]\"")
    s.ask("Where did {h.name} go first?", "First, {h.name} went {p.to}.")
    s.ask("Where did {h.name} get lost?", "{h.name} got lost {r.at}.")
    s.ask("Who helped {h.name} find the way home?", "A wise old {f.kind} named {f.name} helped {h.him}.")
    s.slots["topic"] = "getting lost"
    end(s, "{h.name} always remembered the way[ home|].")


def picnic(s):
    """A plan is spoiled by the weather, and a better one is found."""
    food = s.rng.sample(W.FOODS, 2)
    s.set(a=food[0][2], b=food[1][2], shelter=s.rng.choice(["a cave", "an old barn", "a big oak tree", "a stone bridge", "an empty hut"]))
    meet(s)
    s.say("One day, they [packed|made] a picnic with {a} and {b}, and {h.name} took along {o.a}.")
    s.say("They went {p.to} and [spread out a blanket|sat down in the grass|found a perfect spot].")
    s.part()
    s.say("But then [dark clouds came|the wind began to howl|the sky turned black], and it [started to rain|began to pour].")
    s.say("\"[oh no|oh dear]! our picnic [is ruined|will get wet]!\" [cried|said] {f.name}.")
    s.say("\"[quick|come]!\" said {h.name}. \"[I see|look, there is] {shelter}. We can [hide|stay dry] there.\"")
    s.say("They grabbed the {a} and the {b} and ran [to it|for shelter].")
    s.set(hand="hand" if s.h.human else "paw")
    s.say("[Thunder rolled, and {f.name} was scared.|A flash of lightning made {f.name} jump.] {h.name} held {f.his} {hand} and said, "
          "\"it is only [a noise|the sky talking|a storm]. It will pass.\"")
    s.say("To pass the time, they [sang songs|told stories|counted the raindrops|played with the {o}] and ate the {b}.")
    s.part()
    s.say("After a while, the rain stopped and the sun came out. [There was|They saw] a [big|bright|beautiful] rainbow over {q.the}!")
    feel_glad(s, "f")
    s.say("\"[this is|that was] the best picnic ever,\" said {f.name}, and they finished the {a}[ in the sunshine|].")
    s.ask("What food did they take?", "They took {a} and {b}.")
    s.ask("What happened to the picnic?", "It began to rain, so they went to {shelter}.")
    s.ask("Where did they have the picnic?", "They had the picnic {p.at}.")
    s.slots["topic"] = "a rainy picnic"
    end(s, "{h.name} and {f.name} were not afraid of [the rain|storms|bad weather] anymore.")


def build(s):
    """Materials from several places; the first try fails, the second holds."""
    what, parts, fail, fix = s.rng.choice([
        ("boat", "wood, rope, cloth", "it filled with water and sank", "put tar on every crack"),
        ("tree house", "boards, nails, rope", "the floor fell down with a crash", "used longer nails and more rope"),
        ("castle", "sand, shells, stones", "a wave washed it away", "built it farther from the water"),
        ("bridge", "logs, rope, stones", "the water carried it off", "tied the logs to a heavy stone"),
        ("snow hut", "snow, branches, leaves", "the roof fell in", "made the walls thicker"),
        ("kite", "paper, sticks, string", "the wind tore it to bits", "used stronger paper and a long tail"),
        ("cart", "boards, wheels, nails", "a wheel came off", "made the wheels fit better"),
        ("bird house", "boards, nails, paint", "it fell from the tree", "tied it to a thicker branch")])
    a, b, c = parts.split(", ")
    s.set(what=what, a=a, b=b, c=c, fail=fail, fix=fix)
    meet(s)
    s.say("[One day|One {w} morning], {h.name} said, \"let us build a {what}!\" \"[what a good idea|yes, let us do it|oh yes],\" said {f.name}.")
    s.part()
    s.say("They needed {a}, {b}, and {c}. They [found|got] the {a} {q.at}, and {g} gave them {b}. {f.name} brought the {c}.")
    s.say("They worked [all day|all morning|until noon] {p.at}. [It was hard work.|It looked very fine.|They sang as they worked.]")
    s.say("But when the {what} was [done|ready], {fail}!")
    feel_sad(s, "f")
    s.say("\"[it is no use|we will never do it|we should give up],\" said {f.name}.")
    s.say("\"[let us try again|we can try once more|do not give up],\" said {h.name}. \"[now we know what went wrong|we can make it better|every try teaches us something].\"")
    s.part()
    s.say("So they [started again|began once more|tried again]. This time they {fix}.")
    s.say("[At last|When the sun was low|By evening], the {what} was ready, and [it was strong|it held|nothing broke].")
    feel_glad(s)
    s.say("[{g} came to look.|{g} saw it.] \"[what a fine {what}|well done|you made this yourselves]!\" {ghe} said.")
    s.ask("What did they build?", "They built a {what}.")
    s.ask("What went wrong at first?", "At first, {fail}.")
    s.ask("What did they need?", "They needed {a}, {b}, and {c}.")
    s.slots["topic"] = "building a {what}"
    end(s, "whenever something went wrong, {h.name} [tried again|said, \"let us try again\"].")


def fear(s):
    """Something frightening turns out to be something small."""
    what, truth = s.rng.choice([
        ("a big shadow on the wall", "a coat on a chair"), ("a strange knocking at night", "a branch at the window"),
        ("two shining eyes in the dark", "a kitten with bright eyes"), ("a low growling sound", "an old man snoring"),
        ("a white shape in the fog", "a lost sheep"), ("a terrible howling", "the wind in the chimney"),
        ("something moving under the leaves", "a tiny hedgehog"), ("a splash in the black water", "a friendly frog")])
    s.set(what=what, truth=truth)
    meet(s)
    s.say("{h.name} was [a little |]afraid of the dark. {f.name} [knew this|did not laugh at {h.him}].")
    s.set(sensed="heard" if any(k in what for k in ("knock", "sound", "howl", "splash")) else "saw")
    s.say("One [night|evening], they were {p.at} when {h.name} {sensed} {what}.")
    s.say("\"[what is that|did you notice that]?\" [whispered|said] {h.name}. {h.His} [legs were shaking|heart was beating fast|knees were weak].")
    s.say("\"[maybe it is a monster|what if it is a ghost|let us run away]!\" {h.he} said.")
    s.part()
    s.say("\"[let us look|we will go together|take a deep breath],\" said {f.name}. {f.He} [gave {h.him}|took out|lit] a [little |]lantern.")
    s.say("{h.name} took [one step|a small step], and then another. [It was very quiet.|{h.He} held on to {f.name}.|{h.He} counted to ten.]")
    s.say("{h.He} [held up|lifted] the light, and what did {h.he} see? It was only {truth}!")
    s.say("They [both laughed|laughed and laughed|laughed until their sides hurt].")
    s.say("\"I was so afraid, and it was only {truth}!\" said {h.name}.")
    s.say("\"[you were very brave to look,|being brave means you look anyway,|now you know,]\" said {f.name}.")
    s.ask("What was {h.name} afraid of?", "{h.name} was afraid of the dark.")
    s.ask("What was it really?", "It was only {truth}.")
    s.slots["topic"] = "being brave"
    end(s, "{h.name} was not [so |]afraid of the dark anymore.")


def gift(s):
    """A birthday, a secret, and a present that is just right."""
    meet(s)
    s.say("[Tomorrow|In two days|On Sunday], it would be {f.name}'s birthday. {h.name} wanted to [give|find] {f.him} a [special |nice |]present.")
    s.say("But what did {f.name} [like|want]? {h.name} [thought and thought|did not know].")
    s.part()
    if s.o.look in W.COLORS:
        s.say("{h.He} asked {g}. \"{f.name} [always looks at|loves|often talks about] [{o.look} things|the color {o.look}],\" {ghe} said.")
    else:
        s.say("{h.He} asked {g}. \"{f.name} has always wanted a {o},\" {ghe} said.")
    go(s, s.p)
    s.set(x=a_thing(s.rng))
    s.say("{h.He} found {x.a}, but [it was broken|that was not right|it cost too much].", 0.6)
    s.say("Then {h.he} saw {o.a}. It was [perfect|just right]! {h.He} [wrapped it in paper|put it in a box|tied a ribbon around it] and hid it under the bed.")
    s.part()
    s.say("On the birthday, {h.name} [sang a song|baked a cake|brought balloons] and [gave {f.name} the box|brought out the present].")
    s.say("{f.name} [opened it slowly|could hardly wait|looked inside]. \"{o.a}!\" {f.he} [cried|said]. \"[it is just what I wanted|I love it]!\"")
    feel_glad(s, "f")
    s.say("\"happy birthday,\" said {h.name}, [and they hugged|and they played with the {o} all day|and they danced around the table].")
    s.ask("Whose birthday was it?", "It was {f.name}'s birthday.")
    s.ask("What was the present?", "The present was {o.a}.")
    s.ask("Where did {h.name} hide the present?", "{h.name} hid it under the bed.")
    s.slots["topic"] = "a birthday"
    end(s, "the {o} [always stood by {f.name}'s bed|was {f.name}'s favorite thing].")


def race(s):
    """The fast one wins or stops to help; both learn something."""
    meet(s)
    s.say("One {w} day, there was a [big |great |]race from {p.the} to {q.the}. The prize was {o.a}.")
    s.say("\"I will win,\" said {f.name}. \"I am [very fast|the fastest of all|faster than you].\" {h.name} [only smiled|said nothing|was not so sure].")
    s.part()
    s.say("\"[one, two, three, go|ready, steady, go]!\" called {g}, and [off they went|they began to run].")
    if s.rng.random() < 0.5:
        s.say("{f.name} [was soon far ahead|ran like the wind]. \"I have plenty of time,\" {f.he} thought, and [lay down for a nap|stopped to eat berries|sat down to rest].")
        s.say("{h.name} did not stop. [Step by step|Slowly and steadily], {h.he} went on, and passed {f.name}.")
        s.say("When {f.name} looked up, {h.name} was already {q.at}! {h.name} had won {o.the}.")
        feel_glad(s)
        s.say("\"I should not have stopped,\" said {f.name}. \"[well done|you earned it], {h.name}.\"")
        s.set(winner=s.h.name, why="{f.name} stopped, but {h.name} did not".format(**s.slots))
    else:
        s.say("They ran side by side. [Then|Suddenly], {f.name} [tripped over a root|slipped on a stone|fell into a ditch] and [hurt {f.his} leg|could not get up].")
        s.say("{h.name} could have [run on|won], but {h.he} stopped. \"[let me help you|take my arm|lean on me],\" {h.he} said.")
        s.say("Together they walked slowly {q.to}. They came in last, but everyone [cheered|clapped].")
        s.say("{g} gave {o.the} to {h.name}. \"[a good heart is worth more than fast feet|you have won something better],\" {ghe} said.")
        feel_glad(s)
        s.set(winner=s.h.name, why="{h.he} stopped to help {f.name}".format(**s.slots))
    s.ask("Who got the prize?", "{winner} got {o.the}.")
    s.ask("Why did {h.name} get the prize?", "{h.name} got the prize because {why}.")
    s.ask("Where did the race end?", "The race ended {q.at}.")
    s.slots["topic"] = "a race"
    end(s, "{h.name} and {f.name} [often ran together|raced every summer|stayed good friends].")


def magic(s):
    """A wish goes wrong and is taken back."""
    wish, bad, undo = s.rng.choice([
        ("to be as tall as a tree", "{h.he} could not fit through any door", "small again"),
        ("that it would snow every day", "all the flowers froze and nobody could play", "to have spring back"),
        ("to fly like a bird", "the wind blew {h.him} far away from home", "back on the ground"),
        ("that everything {h.he} touched turned to candy", "{h.his} bed was sticky and {h.his} books could not be read", "things as they were"),
        ("that it would never be night", "everybody was too tired to smile", "the moon and the stars back"),
        ("to be very, very small", "a beetle looked as big as a horse", "big again"),
        ("to have a hundred puppies", "there was no room to sit and so much barking", "just a little quiet"),
        ("that nobody could tell {h.him} what to do", "nobody talked to {h.him} at all", "everyone to talk again")])
    s.set(wish=wish.format(**s.slots), bad=bad.format(**s.slots), undo=undo, spot=s.rng.choice(s.p.spots))
    s.say("One {w} day, {h.he} was {p.at}. {spot}, {h.he} found {o.a}. It [glowed|shone with a strange light|hummed softly].")
    s.say("{h.name} picked it up. \"[I am a magic {o}|I can do magic],\" said the {o}. \"[you may make a wish|I will give you one wish|tell me what you want].\"")
    s.say("{h.name} [wished|thought for a while and wished] {wish}. [Puff!|There was a flash of light.|A bell rang.] And it came true!")
    s.part()
    s.say("At first, it was [wonderful|great fun|exciting]. But [soon|then|after a day] {bad}.")
    feel_sad(s)
    s.say("\"[this is not what I wanted|I did not think about this],\" {h.he} said.")
    s.say("{h.He} told {f.name} about it.", 0.7)
    s.say("\"[maybe|perhaps] the {o} can [help|take the wish back],\" said {f.name}." if s.parts[-1][-1].endswith("about it.") else "Then {h.he} remembered the {o}.")
    s.part()
    s.say("{h.name} [ran|hurried] back {p.to} and [asked|begged] the {o}. \"please, I want {undo},\" {h.he} said.")
    s.say("\"[be careful what you wish for|now you are wise],\" said the {o}, and [all was well again|everything was as before].")
    feel_glad(s)
    s.say("{h.name} put the {o} back {spot}, [for someone else to find|and went home|and said goodbye to it].")
    s.ask("What did {h.name} wish?", "{h.name} wished {wish}.")
    s.ask("What did {h.name} find?", "{h.name} found {o.a} that was magic.")
    s.ask("Where was the {o}?", "The {o} was {spot} {p.at}.")
    s.slots["topic"] = "a magic {o}"
    end(s, "{h.name} was happy with what {h.he} had.")


def bake(s):
    """One thing is missing from the kitchen; a neighbor has it, and gets a piece."""
    what = s.rng.choice(["cake", "apple pie", "bread", "berry tart", "soup", "pot of jam"])
    a, b, c = s.rng.sample(["flour", "eggs", "milk", "sugar", "butter", "honey", "berries", "nuts", "salt"], 3)
    source = s.rng.choice(["the hens on the farm", "the neighbor", "the shop on the corner", "the mill by the river"])
    s.set(what=what, some="a " + what if what not in ("bread", "soup") else what, a=a, b=b, c=c, source=source)
    s.say("One {w} [day|morning], {h.name} wanted to make {some} for {g}.")
    s.say("{h.He} needed {a}, {b}, and {c}. {h.He} [looked in the kitchen and|opened every cupboard and] found {a} and {b}, but there was no {c}.")
    s.say("\"[I cannot make {some} without {c}],\" said {h.name}.")
    s.part()
    s.say("So {h.he} went [to ask|to see] {f.a}. \"do you have any {c}?\" {h.he} asked.")
    s.say("\"[yes, I do|of course],\" said {f.name}. \"[you may have it|take it], [if I can help|if I get a taste|and let me help you].\"")
    s.say("Together they [mixed|stirred] the {a}, the {b}, and the {c}. [{f.name} got some on {f.his} nose.|They made a big mess.|They sang while they worked.|It smelled very good.]")
    s.say("They waited and waited. [At last|Soon], the {what} was ready.")
    s.part()
    s.say("{h.name} brought it to {g}. \"[for me|is this for me]?\" {ghe} asked. \"[it is wonderful|how kind of you|thank you, both of you]!\"")
    s.say("They all [sat down|sat around the table] and ate. [There was not a crumb left.|Nobody said a word until it was gone.|It was the best {what} ever.]")
    feel_glad(s)
    s.ask("What did {h.name} make?", "{h.name} made {some} for {g}.")
    s.ask("What was missing?", "There was no {c}.")
    s.ask("Who had the {c}?", "{f.name} had the {c}.")
    s.slots["topic"] = "baking"
    end(s, "{h.name} and {f.name} [cooked together every week|often made {some} together].")


def truth(s):
    """Something breaks; the hero hides it, then tells the truth."""
    s.set(x=s.rng.choice(["blue vase", "big window", "teapot", "old clock", "painted plate", "glass lamp", "best cup"]),
          spot=s.rng.choice(["under the bed", "behind the door", "in a drawer", "under the rug", "behind the curtain"]))
    s.say("One {w} day, {h.he} was playing with {h.his} {o.full} in the house, even though {g} had said, \"[play outside|please be careful in here|not near the {x}].\"")
    s.say("[Crash!|Bang!|Oh no!] The {x} [broke|fell and broke] into [many|a hundred|small] pieces.")
    s.say("{h.name} [was scared|did not know what to do]. {h.He} hid the pieces {spot}.")
    s.part()
    s.say("[Soon|After a while], {g} came in. \"where is the {x}?\" {ghe} asked. \"[I do not know|maybe someone took it],\" said {h.name}.")
    s.say("But {h.name} felt [bad|awful|a heavy stone inside]. {h.He} could not [eat|sleep|play], [for {h.he} had told a lie|because it was not true].")
    s.set(friend=s.h.his + " friend " + s.f.name if s.h.human else s.f.name + " the " + s.f.kind)
    s.say("{h.He} told {friend} everything. \"[tell the truth|say that you are sorry],\" said {f.name}. "
          "\"[it will be hard, but then it will be better|you will feel much better].\"")
    s.part()
    s.say("So {h.name} went to {g}. \"I broke the {x}, and I hid the pieces {spot},\" {h.he} said. \"I am [very |so |]sorry.\"")
    s.say("{g} [was quiet for a moment|looked at {h.him}]. Then {ghe} [gave {h.him} a hug|smiled]. \"[thank you for telling me|I am glad you told me],\" {ghe} said. \"[a {x} can be mended|the truth is worth more than a {x}].\"")
    s.say("Together they [glued the pieces|cleaned it all up].")
    s.say("{h.name} felt [as light as a feather|much better|happy again].")
    s.ask("What did {h.name} break?", "{h.name} broke the {x}.")
    s.ask("Where did {h.name} hide the pieces?", "{h.name} hid the pieces {spot}.")
    s.ask("Did {h.name} tell the truth in the end?", "Yes, {h.name} told {g} the truth and said sorry.")
    s.slots["topic"] = "telling the truth"
    end(s, "{h.name} always told the truth.")


def seed(s):
    """A seed, water, and waiting."""
    what, gives = s.rng.choice([("sunflower", "taller than a door"), ("apple tree", "full of red apples"),
                                ("pumpkin", "as big as a cart"), ("rose bush", "covered in pink roses"),
                                ("bean plant", "all the way up to the roof"), ("cherry tree", "white with blossoms"),
                                ("strawberry plant", "full of sweet berries")])
    s.set(what=what, gives=gives, spot=s.rng.choice(s.p.spots))
    s.say("One day, {g} gave {h.him} a [tiny|small|little] [brown |black |]seed. \"[plant it and take care of it|give it water and time],\" {ghe} said.")
    s.say("{h.name} [dug|made] a hole {p.at}, [put the seed in|laid the seed in it], and gave it [some|a little] water.")
    s.say("The next day, {h.he} went to look. There was nothing. [\"grow, little seed!\" {h.he} said.|{h.He} was [disappointed|sad].]")
    s.part()
    s.say("\"[it will never grow|maybe it is a bad seed],\" said {f.a}.")
    s.say("\"[we must wait|I will wait|good things take time],\" said {h.name}. Every [morning|day], {h.he} [watered it|brought it water] and [sang to it|pulled the weeds|told it a story].")
    s.say("[One night, a storm came.|One night, it got very cold.] {h.name} [ran out and covered|went out to cover] the spot with an old [basket|bucket|blanket|hat].", 0.6)
    s.say("[After two weeks|After ten days|Then, one morning], a [tiny |small |]green leaf came up! {h.name} [could not believe it|jumped for joy|called everyone to look].")
    s.part()
    s.say("The plant grew and grew. In the [summer|end], it was a {what}, {gives}!")
    s.say("\"you were right to wait,\" said {f.name}.")
    feel_glad(s)
    s.ask("What did the seed become?", "The seed became a {what}.")
    s.ask("Who gave {h.name} the seed?", "{g} gave {h.name} the seed.")
    s.ask("Where did {h.name} plant the seed?", "{h.name} planted the seed {p.at}.")
    s.slots["topic"] = "a little seed"
    end(s, "{h.name} knew that good things take time.")


def treasure(s):
    """A map, a key in one place, a box in another."""
    s.set(spot=s.rng.choice(s.p.spots), spot2=s.rng.choice(s.q.spots), x=s.rng.choice(
        ["old coins and a letter", "a crown and three rings", "a music box", "a silver mirror", "a book of stories", "colored glass and shells"]))
    meet(s)
    s.say("One {w} day, {h.name} found an old map [inside a book|in a bottle|under a loose board|in a coat pocket]. There was [a red cross|an X] on it!")
    s.say("\"[it is a treasure map|there must be a treasure],\" said {f.name}. \"[let us go|come on|we must find it]!\"")
    s.say("The map said: \"the key is {spot} {p.at}, and the box is {spot2} {q.at}.\"")
    s.part()
    s.say("First they went {p.to}. They looked {spot}, and [there it was|they found it]: a [small|rusty|golden|tiny] key!")
    s.say("Then they went {q.to}. [It was a long walk.|The way was steep.|The sun was hot.] They looked {spot2} until they [hit something hard|saw the lid of a box].")
    s.set(were="was" if s.x in ("a music box", "a silver mirror", "a book of stories") else "were")
    s.say("{h.name} put the key in the lock and turned it. [Click!|It fit!] Inside the box, there was {o.a}, and under it {were} {x}.")
    feel_glad(s)
    s.part()
    s.say("\"[who should have it|what shall we do with it]?\" asked {f.name}. \"[we found it together, so we will share it|half is yours and half is mine],\" said {h.name}.")
    s.say("{h.name} took {o.the}, and {f.name} took {x}. [Then they hid the map again for someone else.|They told {g} all about it.|They kept the key as a secret.]")
    s.ask("Where was the key?", "The key was {spot} {p.at}.")
    s.ask("Where was the box?", "The box was {spot2} {q.at}.")
    s.ask("What was in the box?", "{o.a} and {x} were in the box.")
    s.slots["topic"] = "a treasure"
    end(s, "{h.name} and {f.name} [looked for new maps everywhere|dreamed of new adventures].")


def new_friend(s):
    """Someone new is lonely; a game needs one more."""
    game = s.rng.choice(["hide and seek", "tag", "pirates", "catch", "kings and queens", "explorers"])
    s.set(game=game)
    s.say("{h.name} was [new|alone] {p.at} and had no friends yet. [{h.He} watched the others play.|Everyone else was laughing and playing.]")
    feel_sad(s)
    s.say("{h.He} had only {h.his} {o.full} to [talk to|play with].")
    s.part()
    s.say("Then {f.a} came over. \"[hello|hi]! I am {f.name}. what is your name?\"")
    s.say("\"I am {h.name},\" {h.he} said[ very softly| shyly|]. [{h.He} looked at {h.his} feet.|]")
    s.say("\"[that is a nice {o}|I like your {o}|what a pretty {o}]!\" said {f.name}. \"[do you want to play {game}|would you like to play {game} with us]?\"")
    s.say("{h.name} [nodded|looked up and smiled]. \"yes, please!\"")
    s.part()
    s.say("They played {game} until [the sun went down|it was time to go home|they were out of breath]. {h.name} [ran and laughed|had so much fun|forgot to be shy].")
    s.say("When it was time to go, {h.name} [let {f.name} hold|showed {f.name}] the {o}. \"Will you come again tomorrow?\" said {f.name}.")
    s.say("\"[yes|of course]! I will be here,\" said {h.name}.")
    feel_glad(s)
    s.ask("What game did they play?", "They played {game}.")
    s.ask("What did {h.name} have?", "{h.name} had {o.a}.")
    s.ask("Who came to talk to {h.name}?", "{f.name}, a {f.kind}, came to talk to {h.name}.")
    s.slots["topic"] = "a new friend"
    end(s, "{h.name} was never lonely [again|{p.at}].")


def swap(s):
    """A chain of trades; who has what is kept straight all along."""
    things = [s.o] + [a_thing(s.rng) for _ in range(2)]
    while len({t.noun for t in things}) < 3:
        things = [s.o] + [a_thing(s.rng) for _ in range(2)]
    s.set(x=things[1], y=things[2], k=(an_animal if s.animals else a_child)(s.rng, s.h.female, (s.h.name, s.f.name, s.h.kind, s.f.kind)))
    s.say("{h.name} had {o.a}, but {h.he} [was tired of it|never played with it anymore|wanted something new].")
    go(s, s.p)
    s.say("There {h.he} met {f.a}. {f.name} had {x.a}. \"[shall we trade|do you want to trade]?\" asked {h.name}. \"[yes|gladly]!\" said {f.name}.")
    s.say("So {f.name} got {o.the}, and {h.name} got {x.the}.")
    s.part()
    s.say("Then {h.name} went {q.to} and met {k.a}. {k.name} had {y.a}. \"[I like your {x}|what a fine {x}],\" said {k.name}. \"[I will give you my {y} for it|take my {y} for it].\"")
    s.say("So {k.name} got {x.the}, and {h.name} got {y.the}.")
    s.say("But that evening, {h.name} [missed|thought of] the {o}. \"[I want my {o} back|my {o} was the best after all],\" {h.he} said.")
    s.part()
    s.say("The next day, {h.name} went to {f.name}. \"I have {y.a} now. [can I have my {o} back for it|will you take it for the {o}]?\"")
    s.say("{f.name} [laughed|smiled]. \"[yes, I always wanted a {y}|of course],\" {f.he} said. So {f.name} got {y.the}, and {h.name} had {o.the} again.")
    feel_glad(s)
    s.ask("Who has the {o} now?", "{h.name} has the {o} again.")
    s.ask("Who has the {x} now?", "{k.name} has the {x}.")
    s.ask("Who has the {y} now?", "{f.name} has the {y}.")
    s.slots["topic"] = "trading things"
    end(s, "{h.name} [never gave the {o} away again|loved the {o} more than ever].")


PLOTS = [lost, share, rescue, earn, way_home, picnic, build, fear, gift, race, magic, bake, truth, seed, treasure,
         new_friend, swap]


def make_story(rng, plot=None):
    s = Story(rng)
    begin(s)
    (plot or rng.choice(PLOTS))(s)
    s.slots["topic"] = s.slots["topic"].format(**s.slots)
    return s


if __name__ == "__main__":
    import random
    import sys
    r = random.Random(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for plot in PLOTS:
        s = make_story(r, plot)
        print("==", plot.__name__, "\n" + s.text() + "\n", s.facts, "\n")
