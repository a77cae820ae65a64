"""The words that the corpus is made of."""


def split(text):
    return text.split()


def rows(text):
    """One entry a line, its fields parted by '/'."""
    return [[f.strip() for f in line.split("/")] for line in text.strip().splitlines()]


GIRLS = split("""Lily Mia Anna Rose Ella Nora Ruby Sara Lucy Emma Zoe Clara Ivy Maya Alice Lena Tess Molly Daisy Grace
Hana Nina Eva Freya Holly Ines Jade Kira Luna Maria Olive Penny Rosa Sofia Tara Uma Vera Willa Yara Amira Bella Cora
Edith Fay Greta Hazel Iris Julia Kate Leila""")
BOYS = split("""Tom Ben Max Sam Leo Jack Finn Tim Noah Oscar Jake Hugo Omar Felix Theo Adam Luke Milo Ned Otto Peter
Ravi Simon Toby Victor Will Yusuf Alex Bruno Carl Dan Emil Fred George Henry Ivan Jonas Kai Liam Marco Nico Owen Paul
Rory Sven Ted Vik Walter Zack Amos""")
PET_NAMES = split("""Pip Rusty Dot Fluff Nibble Moss Pebble Acorn Button Clover Bramble Coco Dusty Fern Ginger Honey Inky
Juniper Kiki Lumi Maple Nutmeg Olly Poppy Quill Ripple Socks Tansy Umber Velvet Whisk Ziggy Biscuit Cricket Dapple Ember
Flick Gus Hopper Jasper Marble Oats Patch Rowan Sorrel Thistle Tumble Wren Berry Snowy""")

# kind / home / what it does when happy / sound
ANIMALS = rows("""
fox / a den under the oak / wagged {his} tail / yip
rabbit / a burrow in the meadow / hopped in a circle / squeak
bear / a cave on the hill / danced on two legs / growl
mouse / a hole in the old wall / twitched {his} whiskers / squeak
owl / a hollow tree / flapped {his} wings / hoot
frog / a pond full of lilies / jumped up and down / croak
duck / a nest by the river / flapped {his} wings / quack
hedgehog / a pile of dry leaves / rolled into a happy ball / snuffle
squirrel / a hole in the tall pine / shook {his} bushy tail / chatter
turtle / a warm spot by the lake / smiled a slow smile / hiss
kitten / a basket by the fire / purred loudly / meow
puppy / a kennel in the garden / wagged {his} tail / bark
deer / a clearing in the forest / leapt over a log / bleat
badger / a tunnel under the hill / clapped {his} paws / grunt
otter / a bank by the river / splashed in the water / chirp
goat / a shed on the farm / kicked up {his} heels / bleat
pony / a stable on the farm / shook {his} mane / neigh
penguin / a house of ice / clapped {his} wings / honk
elephant / a forest far away / lifted {his} trunk / trumpet
monkey / a tall fig tree / swung from a branch / chatter
lamb / a green field / skipped about / baa
mole / a tunnel under the garden / wiggled {his} nose / squeak
beaver / a house of sticks / slapped {his} tail / grunt
sparrow / a nest in the hedge / sang a little song / chirp
snail / a shell of {his} own / wiggled {his} feelers / sigh
""")
ANIMAL_TRAITS = split("little small young clever shy brave kind curious sleepy cheerful proud gentle lively tiny quiet")
CHILD_TRAITS = rows("""
kind / loved to help others
curious / asked questions about everything
brave / was not afraid of much
shy / liked quiet places best
cheerful / sang from morning to night
clever / loved to solve puzzles
gentle / was friends with every animal
playful / could turn anything into a game
careful / liked to do things well
dreamy / liked to look at the clouds
patient / never minded waiting
lively / could not sit still for long
""")

# name / preposition / what one sees there / hiding spots
PLACES = rows("""
park / in / children playing on the swings / under the old bench, behind the slide, next to the fountain, in the tall grass
forest / in / sunlight falling through the leaves / under a pile of leaves, behind a mossy rock, between the roots of an oak, inside a hollow log
beach / on / white waves rolling in / behind a big rock, under the wet sand, next to an old boat, in a pool of sea water
garden / in / bees humming in the flowers / under the rose bush, behind the shed, in the flower bed, next to the gate
lake / by / ducks swimming in a row / under the wooden bridge, in the reeds, behind a willow tree, next to the little boat
farm / on / cows eating the green grass / behind the barn, in the hay, under the cart, next to the well
meadow / in / butterflies dancing over the flowers / in the tall grass, under a big daisy, next to the stream, behind a bush
hill / on / the whole village far below / behind a round stone, under a pine tree, in a small hole, next to the old wall
market / at / bright fruit on every table / under a table, behind the flower stall, next to the baker's cart, in an empty box
river / by / silver fish in the clear water / in the reeds, under the stone bridge, behind a log, between two smooth stones
village / in / smoke rising from the chimneys / behind the bakery, next to the well, under a wagon, on a doorstep
library / in / books up to the ceiling / between two big books, under a chair, behind the curtain, on a high shelf
school / at / pictures on all the walls / under a desk, behind the door, in the coat room, next to the piano
orchard / in / red apples on the branches / under an apple tree, in a basket, behind the ladder, in the long grass
playground / at / a long yellow slide / in the sand pit, under the slide, behind the swings, next to the gate
valley / in / a thin blue river / behind a gray rock, under a fallen tree, next to the path, in the thick moss
harbor / at / tall ships with white sails / behind a barrel, under a net, next to the lighthouse, in a coil of rope
attic / in / dusty boxes and old coats / behind a trunk, under an old blanket, inside a hat box, next to the window
""")

INDOORS = ("library", "school", "attic")

COLORS = split("red blue green yellow purple orange pink white black brown silver golden")
LOOKS = split("shiny soft new tiny big round striped pretty wooden")
TOYS = split("kite ball doll boat drum train car puppet teddy top robot whistle scarf hat balloon bell lantern flute basket bucket umbrella ring necklace book puzzle")
FOODS = rows("""
apple / an apple / apples
pear / a pear / pears
cookie / a cookie / cookies
cake / a cake / cakes
carrot / a carrot / carrots
berry / a berry / berries
plum / a plum / plums
nut / a nut / nuts
muffin / a muffin / muffins
sandwich / a sandwich / sandwiches
peach / a peach / peaches
pancake / a pancake / pancakes
pie / a pie / pies
bun / a bun / buns
cherry / a cherry / cherries
""")
COUNTABLE = rows("""
shell / shells
stone / stones
leaf / leaves
flower / flowers
button / buttons
coin / coins
marble / marbles
feather / feathers
star / stars
book / books
pencil / pencils
duck / ducks
fish / fish
sticker / stickers
""")
GROWNUPS = rows("""
Mom / she
Dad / he
Grandma / she
Grandpa / he
Aunt May / she
Uncle Joe / he
the baker / he
the teacher / she
the gardener / he
the old fisherman / he
the librarian / she
the farmer / she
""")

# weather / a sentence about it / is it fine weather?
WEATHER = rows("""
sunny / The sun was shining in a clear blue sky / y
windy / The wind was blowing and the leaves were dancing / y
cloudy / Gray clouds covered the sky / y
warm / The air was warm and smelled of flowers / y
cold / The air was cold and every breath made a little cloud / y
rainy / Rain was falling softly on the roofs / n
snowy / Snow was falling and everything was white / n
foggy / A thick fog lay over the fields / n
bright / The morning was bright and the birds were singing / y
frosty / Frost was sparkling on the grass / y
""")

OPPOSITES = rows("""
big / small
hot / cold
up / down
day / night
happy / sad
fast / slow
old / new
tall / short
wet / dry
hard / soft
light / dark
open / closed
full / empty
loud / quiet
high / low
rich / poor
strong / weak
clean / dirty
early / late
near / far
left / right
long / short
thick / thin
heavy / light
sweet / sour
brave / afraid
good / bad
first / last
young / old
win / lose
push / pull
in / out
yes / no
start / stop
love / hate
asleep / awake
top / bottom
front / back
easy / hard
true / false
warm / cool
laugh / cry
give / take
come / go
buy / sell
rough / smooth
wide / narrow
deep / shallow
inside / outside
before / after
always / never
question / answer
friend / enemy
summer / winter
sunrise / sunset
kind / mean
""")

RHYMES = [split(r) for r in """cat hat bat mat rat
dog log frog fog
sun run fun bun
tree bee sea knee
star car jar far
moon spoon noon balloon
cake lake snake rake
boat goat coat
bear chair pear hair
house mouse
king ring wing string
ball wall tall fall
book hook cook brook
light night kite bright
fish dish wish
bell shell well
duck truck luck
pig wig dig big
fox box socks rocks
snow bow crow
rain train chain
hill mill pill
sand hand land band
bed red shed sled
clock rock sock block
nose rose hose
pie sky fly tie
door floor four
bread head thread
tail snail pail mail
wheel seal meal
top hop shop drop
pen hen ten men
bug rug mug hug
cold gold old
day play hay clay
flower tower shower
berry cherry
kitten mitten
honey money funny sunny""".splitlines()]

SPELL = sorted(set(split("""apple bird bread bridge candle castle cloud cookie dragon flower forest friend garden
grass green happy heart honey horse house island jungle kitten lemon letter little monkey moon morning mountain mouse
music ocean orange paper pencil penguin piano pillow pirate planet pony puppy queen rabbit rain river robot rocket
sand school shell silver sister snow spoon star storm story summer sun table tiger tower train tree turtle umbrella
village violin water whale wind window winter yellow zebra baby banana basket bear bell berry boat book box brother
butter cake carrot cat chair cheese cherry coat cow cup deer dog door duck egg elephant farm feather finger fish
fox frog goat hat hill ice jam kite lake lamp leaf lion map milk nest night nut owl peach pear pig plum pond ring road
rose sea ship shoe sky sock soup spider stone sugar sweet teddy toast tooth wagon wolf wood""")))

# thing / what to say of its color, taste, use ...
COLOR_OF = rows("""
the sky / blue
grass / green
snow / white
a lemon / yellow
a ripe tomato / red
coal / black
an orange / orange
a carrot / orange
a banana / yellow
a cherry / red
milk / white
a leaf in spring / green
chocolate / brown
a flamingo / pink
a frog / green
the sun / yellow
a strawberry / red
a polar bear / white
a crow / black
an eggplant / purple
""")
SOUNDS = rows("""
cow / moo
cat / meow
dog / woof
duck / quack
sheep / baa
horse / neigh
pig / oink
lion / roar
bee / buzz
frog / croak
owl / hoot
snake / hiss
mouse / squeak
rooster / cock-a-doodle-doo
wolf / howl
crow / caw
""")
BABIES = rows("""
cat / kitten
dog / puppy
cow / calf
sheep / lamb
horse / foal
pig / piglet
duck / duckling
bear / cub
hen / chick
goat / kid
deer / fawn
kangaroo / joey
swan / cygnet
goose / gosling
frog / tadpole
lion / cub
owl / owlet
""")
HOMES = rows("""
a bird / in a nest
a fish / in the water
a bee / in a hive
a bear / in a cave
a rabbit / in a burrow
a spider / in a web
a horse / in a stable
a dog / in a kennel
a cow / in a barn
a fox / in a den
a penguin / on the ice
a camel / in the desert
a monkey / in the trees
a whale / in the ocean
a king / in a castle
a snail / in its shell
an ant / in an anthill
""")
PLURALS = rows("""
mouse / mice
child / children
foot / feet
tooth / teeth
leaf / leaves
goose / geese
fish / fish
sheep / sheep
man / men
woman / women
wolf / wolves
berry / berries
fox / foxes
box / boxes
cat / cats
star / stars
tree / trees
book / books
boat / boats
knife / knives
puppy / puppies
cherry / cherries
bush / bushes
dish / dishes
""")
RIDDLES = rows("""
I have hands but I cannot clap / a clock
I have a neck but no head / a bottle
I am yellow and I shine all day / the sun
I shine at night and change my shape / the moon
I fall from the clouds and make puddles / the rain
I am white and cold and you can make a man of me / the snow
I have pages and tell you stories / a book
I have keys and make music / a piano
I have four legs but I cannot walk / a table
I carry my house on my back / a snail
I have teeth but I cannot bite / a comb
I get wet while I dry you / a towel
I follow you everywhere when the sun shines / your shadow
I have wings and a tail and fly on a string / a kite
I hop and croak and live in a pond / a frog
I am long and orange and rabbits love me / a carrot
I make honey and buzz / a bee
I have an eye but I cannot see / a needle
I go up when the rain comes down / an umbrella
I open every door but I have no hands / a key
""")
USES = rows("""
an umbrella / to stay dry in the rain
a key / to open a door
a spoon / to eat soup
a pencil / to write and draw
a lamp / to see in the dark
a bed / to sleep
a ladder / to climb up high
a broom / to sweep the floor
a clock / to tell the time
a map / to find the way
a boat / to cross the water
scissors / to cut paper
a needle / to sew
a hammer / to hit nails
a kettle / to boil water
glasses / to see better
a blanket / to keep warm
soap / to wash your hands
a bridge / to walk over a river
a nest / to keep eggs safe
""")
WHY = rows("""
do birds build nests / Birds build nests to keep their eggs and chicks safe.
do we sleep / We sleep so that our body and mind can rest.
do we need water / We need water to live. Every plant and animal needs it too.
does ice melt / Ice melts because it gets warm.
do bees visit flowers / Bees visit flowers to gather sweet nectar for their honey.
do leaves fall in autumn / Trees drop their leaves to rest through the winter.
do we wear coats in winter / We wear coats in winter to keep warm.
do we brush our teeth / We brush our teeth to keep them clean and strong.
does it rain / It rains when the drops in a cloud get too heavy and fall.
do cats have whiskers / Whiskers help a cat feel its way in the dark.
is the night dark / The night is dark because the sun is on the other side of the world.
do fish have fins / Fins help a fish swim and turn.
do we plant trees / Trees give us shade, fruit, and fresh air.
do boats float / Boats float because they are lighter than the water they push away.
should we share / When we share, everyone has something and nobody feels left out.
should we tell the truth / When we tell the truth, others can trust us.
do we say thank you / We say thank you to show that we are glad for what others do.
do owls fly at night / Owls fly at night because they can see and hear very well in the dark.
""")
DAYS = split("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
MONTHS = split("January February March April May June July August September October November December")
NUMBERS = split("zero one two three four five six seven eight nine ten eleven twelve")
