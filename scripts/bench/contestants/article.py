"""The reference's training as a program, written as the article's, with sizes that it fixes as arguments.

    python scripts/bench/contestants/article.py TASK.json EPOCHS STUDENT.pth

prints the article's line of each epoch. test/parity/judge must be importable.
"""

import json
import sys
import time

import torch
import torch.nn as nn
from reference import StudentModel, distillation_loss, load_teacher, transform
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

with open(sys.argv[1], encoding="utf8") as file:
    task = json.load(file)
epochs, dst_model = int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(task["threads"])

teacher_model = load_teacher(task["teacher"], task["architecture"])
student_model = StudentModel(len(task["classes"]), 0.2)
train_dataset = ImageFolder(task["dataset"] + "/train", transform=transform(task))
train_loader = DataLoader(train_dataset, task["batchSize"], shuffle=True, num_workers=0)
val_dataset = ImageFolder(task["dataset"] + "/val", transform=transform(task))
val_loader = DataLoader(val_dataset, task["batchSize"], shuffle=True, num_workers=0)
optimizer = torch.optim.Adam(student_model.parameters(), task["lr"])

highest_accuracy, minimum_loss = 0.0, 100.0
for epoch in range(epochs):
    epoch_start = time.time()
    train_loss = train_acc = val_loss = val_acc = 0.0
    student_model.train()
    teacher_model.eval()
    for inputs, labels in train_loader:
        with torch.no_grad():
            teacher_outputs = teacher_model(inputs)
        student_outputs = student_model(inputs)
        loss = distillation_loss(
            student_outputs, teacher_outputs, labels, task["temperature"], task["alpha"]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        train_loss += loss.item() * inputs.size(0)
        correct = student_outputs.argmax(1).eq(labels)
        train_acc += torch.mean(correct.float()).item() * inputs.size(0)
    student_model.eval()
    with torch.no_grad():
        for inputs, labels in val_loader:
            outputs = student_model(inputs)
            val_loss += nn.CrossEntropyLoss()(outputs, labels).item() * inputs.size(0)
            correct = outputs.argmax(1).eq(labels)
            val_acc += torch.mean(correct.float()).item() * inputs.size(0)
    train_loss, train_acc = train_loss / len(train_dataset), train_acc / len(train_dataset)
    val_loss, val_acc = val_loss / len(val_dataset), val_acc / len(val_dataset)
    print(
        f"epoch:{epoch + 1}/{epochs}; train loss:{train_loss:.6f}, accuracy:{train_acc:.6f}; "
        f"validation loss:{val_loss:.6f}, accuracy:{val_acc:.6f}; time:{time.time() - epoch_start:.4f}s"
    )
    if highest_accuracy < val_acc and minimum_loss > val_loss:
        torch.save(student_model.state_dict(), dst_model)
        highest_accuracy, minimum_loss = val_acc, val_loss
    if val_loss < 0.0001 or val_acc > 0.9999:
        print("stop training early")
        torch.save(student_model.state_dict(), dst_model)
        break
